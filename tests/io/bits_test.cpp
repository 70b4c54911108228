// SPDX-License-Identifier: Apache-2.0
#include "io/bits.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace cxlvm::io {
namespace {

TEST(Bits, OnlyASingleSetBitIsAPowerOfTwo) {
    EXPECT_FALSE(is_power_of_two(0U));
    EXPECT_TRUE(is_power_of_two(1U));
    EXPECT_FALSE(is_power_of_two(3U));
    EXPECT_TRUE(is_power_of_two(std::uint64_t{1} << 63));
}

TEST(Bits, AlignDownAndUpMeetAtAlignedValues) {
    EXPECT_EQ(align_down(0x1fffU, 0x1000), 0x1000U);
    EXPECT_EQ(align_down(0x1000U, 0x1000), 0x1000U);
    EXPECT_EQ(align_up(0x1001U, 0x1000), 0x2000U);
    EXPECT_EQ(align_up(0x1000U, 0x1000), 0x1000U);
    EXPECT_EQ(align_up(0U, 0x1000), 0U);
}

TEST(Bits, AlignUpPastTheTopWrapsToZero) {
    EXPECT_EQ(align_up(UINT64_MAX, 0x1000), 0U);
    EXPECT_EQ(align_up<std::uint8_t>(250, 16), 0U);
}

TEST(Bits, IsAlignedLooksAtTheLowBitsAlone) {
    EXPECT_TRUE(is_aligned(0x3000U, 0x1000));
    EXPECT_FALSE(is_aligned(0x3008U, 0x1000));
}

TEST(Bits, CheckedAddRefusesJustTheSumsThatDoNotFit) {
    EXPECT_EQ(checked_add(UINT64_MAX - 1, 1), UINT64_MAX);
    EXPECT_EQ(checked_add(UINT64_MAX, 1), std::nullopt);
    EXPECT_EQ(checked_add<std::uint8_t>(200, 55), std::uint8_t{255});
    EXPECT_EQ(checked_add<std::uint8_t>(200, 56), std::nullopt);
}

TEST(Bits, ToUnderlyingGivesTheEnumeratorsNumber) {
    enum class Colour : std::uint8_t { Red = 7 };
    static_assert(std::is_same_v<decltype(to_underlying(Colour::Red)), std::uint8_t>);
    EXPECT_EQ(to_underlying(Colour::Red), 7);
}

}  // namespace
}  // namespace cxlvm::io
