// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/credit.hpp"

#include <gtest/gtest.h>

namespace cxlvm::virtio::vsock {
namespace {

TEST(CreditTest, TheGuestHasTheBufferAndNoByteMore) {
    Credit credit;
    EXPECT_FALSE(credit.take(kBufferSize + 1));
    EXPECT_TRUE(credit.take(kBufferSize - 1));
    EXPECT_FALSE(credit.take(2));
    EXPECT_TRUE(credit.take(1));
    EXPECT_FALSE(credit.take(1));
    EXPECT_FALSE(credit.take(0xffff'ffff));
    credit.forward(10);
    EXPECT_TRUE(credit.take(10));
    EXPECT_FALSE(credit.take(1));
}

TEST(CreditTest, TheCountersWrap) {
    Credit credit;
    for (std::uint64_t total = 0; total < std::uint64_t{5} << 30; total += kBufferSize) {
        ASSERT_TRUE(credit.take(kBufferSize));
        ASSERT_FALSE(credit.take(1));
        credit.forward(kBufferSize);
    }
    PacketHeader header{};
    credit.stamp(header);
    EXPECT_EQ(header.fwd_cnt, std::uint32_t{1} << 30);
    EXPECT_EQ(header.buf_alloc, kBufferSize);
}

TEST(CreditTest, AnUpdateIsDueBeforeTheGuestThinksThatTheBufferIsFull) {
    Credit credit;
    PacketHeader header{};
    EXPECT_FALSE(credit.update_due());
    ASSERT_TRUE(credit.take(kBufferSize));
    credit.forward(kBufferSize / 4 - 1);
    EXPECT_FALSE(credit.update_due());
    credit.forward(1);
    EXPECT_TRUE(credit.update_due());
    credit.stamp(header);
    EXPECT_FALSE(credit.update_due());
}

TEST(CreditTest, TheGuestsRoomIsWhatItSaysLessWhatIsOnItsWay) {
    Credit credit;
    EXPECT_EQ(credit.room(), 0U) << "before it has said anything";
    credit.peer_says(1000, 0);
    EXPECT_EQ(credit.room(), 1000U);
    credit.send(600);
    EXPECT_EQ(credit.room(), 400U);
    credit.peer_says(1000, 200);
    EXPECT_EQ(credit.room(), 600U);
    credit.peer_says(400, 200);
    EXPECT_EQ(credit.room(), 0U) << "the buffer has shrunk";
    credit.peer_says(1000, 601);
    EXPECT_EQ(credit.room(), 0U) << "it has taken what was never sent";
    credit.peer_says(0xffff'ffff, 600);
    EXPECT_EQ(credit.room(), 0xffff'ffffU);
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
