// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/byte_fifo.hpp"

#include <gtest/gtest.h>

namespace cxlvm {
namespace {

TEST(ByteFifo, GivesBytesBackInOrderAcrossItsEnd) {
    ByteFifo fifo;
    unsigned in = 0;
    unsigned out = 0;
    for (unsigned round = 0; round < 100; ++round) {
        while (fifo.size() < ByteFifo::kCapacity) {
            fifo.push(static_cast<std::byte>(in++));
        }
        for (unsigned i = 0; i < 5; ++i) {
            ASSERT_EQ(fifo.front(), static_cast<std::byte>(out++));
            fifo.pop(1);
        }
    }
}

TEST(ByteFifo, ShowsTheOldestBytesWithoutTakingThem) {
    ByteFifo fifo;
    for (unsigned i = 0; i < 6; ++i) {
        fifo.push(static_cast<std::byte>(i));
    }
    fifo.pop(2);
    std::array<std::byte, 3> some{};
    EXPECT_EQ(fifo.peek(some), 3U);
    EXPECT_EQ(some[0], std::byte{2});
    EXPECT_EQ(some[2], std::byte{4});
    std::array<std::byte, 20> all{};
    EXPECT_EQ(fifo.peek(all), 4U);
    EXPECT_EQ(all[3], std::byte{5});
    EXPECT_EQ(fifo.size(), 4U);
    fifo.clear();
    EXPECT_TRUE(fifo.empty());
    EXPECT_EQ(fifo.peek(all), 0U);
}

TEST(ByteFifoDeathTest, StopsAnOwnerThatLeavesItsBounds) {
    ByteFifo fifo;
    EXPECT_DEATH(fifo.pop(1), "more than there is");
    EXPECT_DEATH(static_cast<void>(fifo.front()), "empty");
    for (std::size_t i = 0; i < ByteFifo::kCapacity; ++i) {
        fifo.push({});
    }
    EXPECT_DEATH(fifo.push({}), "full");
}

}  // namespace
}  // namespace cxlvm
