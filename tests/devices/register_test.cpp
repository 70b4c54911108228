// SPDX-License-Identifier: Apache-2.0
#include "devices/register.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace cxlvm {
namespace {

enum class Color : std::uint8_t { Red = 1, Blue = 5 };

constexpr Field<bool, 0, 0> kLowest;
constexpr Field<std::uint8_t, 6, 4> kMiddle;
constexpr Field<Color, 10, 8> kColor;
constexpr Field<bool, 31, 31> kHighest;
constexpr Field<std::uint64_t, 63, 0> kAll;

static_assert(kLowest.mask<std::uint32_t>() == 0x1);
static_assert(kMiddle.mask<std::uint8_t>() == 0x70);
static_assert(kHighest.mask<std::uint32_t>() == 0x8000'0000);
static_assert(kAll.mask<std::uint64_t>() == 0xffff'ffff'ffff'ffff);
static_assert(mask_of<std::uint32_t>(kLowest, kMiddle, kHighest) == 0x8000'0071);
static_assert(mask_of<std::uint8_t>() == 0);

TEST(Register, ReadsAFieldByItsBitNumbers) {
    constexpr Register<std::uint32_t> kValue{0x8000'0530};
    EXPECT_FALSE(kValue.get(kLowest));
    EXPECT_EQ(kValue.get(kMiddle), 3);
    EXPECT_EQ(kValue.get(kColor), Color::Blue);
    EXPECT_TRUE(kValue.get(kHighest));
}

TEST(Register, ChangesOneFieldAndNoOther) {
    constexpr Register<std::uint32_t> kOnes{0xffff'ffff};
    EXPECT_EQ(kOnes.with(kMiddle, std::uint8_t{0}).raw, 0xffff'ff8fU);
    EXPECT_EQ(kOnes.with(kColor, Color::Red).raw, 0xffff'f9ffU);
    EXPECT_EQ(Register<std::uint32_t>{}.with(kHighest, true).raw, 0x8000'0000U);
}

TEST(Register, CutsOffExcessBitsOfAValue) {
    EXPECT_EQ(Register<std::uint8_t>{}.with(kMiddle, std::uint8_t{0xff}).raw, 0x70);
}

TEST(Register, HoldsAFieldAsWideAsItself) {
    constexpr std::uint64_t kValue = 0x0123'4567'89ab'cdef;
    EXPECT_EQ(Register<std::uint64_t>{}.with(kAll, kValue).raw, kValue);
    EXPECT_EQ(Register<std::uint64_t>{kValue}.get(kAll), kValue);
}

}  // namespace
}  // namespace cxlvm
