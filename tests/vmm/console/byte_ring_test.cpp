// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/byte_ring.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "tests/vmm/console/console_support.hpp"

namespace cxlvm {
namespace {

TEST(ByteRing, TakesNoMoreThanItsCapacity) {
    ByteRing ring(4096, "test");
    EXPECT_TRUE(ring.empty());
    EXPECT_TRUE(ring.front().empty());
    EXPECT_EQ(ring.append(test::bytes(test::pattern(5000))), 4096U);
    EXPECT_EQ(ring.size(), 4096U);
    EXPECT_EQ(ring.room(), 0U);
    EXPECT_EQ(ring.append(test::bytes("x")), 0U);
}

TEST(ByteRing, StartsAtTheBottomAgainOnceItIsEmpty) {
    ByteRing ring(4096, "test");
    ring.append(test::bytes("abc"));
    const std::byte* const bottom = ring.front().data();
    ring.consume(3);
    ring.append(test::bytes("def"));
    EXPECT_EQ(ring.front().data(), bottom);
}

TEST(ByteRing, GivesBackEveryByteInOrderWhateverTheSizes) {
    ByteRing ring(4096, "test");
    std::deque<std::byte> expected;
    std::mt19937 random(1);
    const std::string text = test::pattern(3000);
    for (int round = 0; round < 5000; ++round) {
        const auto data = test::bytes(text).first(random() % text.size());
        const std::size_t taken = ring.append(data);
        EXPECT_EQ(taken, std::min(data.size(), 4096 - expected.size()));
        expected.insert(expected.end(), data.begin(), data.begin() + static_cast<long>(taken));
        const auto front = ring.front();
        const std::size_t count = random() % (front.size() + 1);
        for (std::size_t i = 0; i < count; ++i) {
            ASSERT_EQ(front[i], expected.front());
            expected.pop_front();
        }
        ring.consume(count);
        ASSERT_EQ(ring.size(), expected.size());
        ASSERT_EQ(ring.front().empty(), expected.empty());
    }
}

}  // namespace
}  // namespace cxlvm
