// SPDX-License-Identifier: Apache-2.0
#include "memory/address.hpp"

#include <gtest/gtest.h>

#include <array>
#include <concepts>
#include <type_traits>

namespace cxlvm {
namespace {

constexpr std::uint64_t kTop = ~std::uint64_t{0};

static_assert(!std::convertible_to<std::uint64_t, Gpa>);
static_assert(!std::convertible_to<Gpa, std::uint64_t>);
static_assert(!std::convertible_to<Gpa, Dpa> && !std::constructible_from<Iova, Gpa>);
static_assert(sizeof(Gpa) == 8 && std::is_trivially_copyable_v<Gpa>);
static_assert(Gpa() == Gpa(0) && Gpa(1) < Gpa(2));

static_assert(Gpa(1).plus(2) == Gpa(3));
static_assert(Gpa(kTop).plus(0) == Gpa(kTop));
static_assert(!Gpa(kTop).plus(1));
static_assert(!Gpa(1).plus(kTop));
static_assert(Gpa(0).plus(kTop) == Gpa(kTop));

static_assert(!GpaRange::of(Gpa(0), 0));
static_assert(GpaRange::of(Gpa(kTop), 1)->last() == Gpa(kTop));
static_assert(!GpaRange::of(Gpa(kTop), 2));
static_assert(GpaRange::of(Gpa(0), kTop)->last() == Gpa(kTop - 1));
static_assert(GpaRange::of(Gpa(0x1000), 0x1000)->last() == Gpa(0x1fff));
static_assert(GpaRange::of(Gpa(0x1000), 0x1000)->size() == 0x1000);

static_assert(!GpaRange::between(Gpa(1), Gpa(0)));
static_assert(GpaRange::between(Gpa(1), Gpa(1))->size() == 1);
static_assert(GpaRange::between(Gpa(0), Gpa(kTop))->size() == 0, "the whole space does not fit");

constexpr GpaRange kRange = *GpaRange::of(Gpa(0x1000), 0x1000);
static_assert(kRange.contains(Gpa(0x1000)) && kRange.contains(Gpa(0x1fff)));
static_assert(!kRange.contains(Gpa(0xfff)) && !kRange.contains(Gpa(0x2000)));
static_assert(kRange.contains(kRange));
static_assert(kRange.contains(*GpaRange::of(Gpa(0x1fff), 1)));
static_assert(!kRange.contains(*GpaRange::of(Gpa(0x1fff), 2)));
static_assert(!kRange.contains(*GpaRange::of(Gpa(0xfff), 0x1002)));
static_assert(kRange.overlaps(*GpaRange::of(Gpa(0xfff), 2)));
static_assert(!kRange.overlaps(*GpaRange::of(Gpa(0xfff), 1)));
static_assert(kRange.overlaps(*GpaRange::of(Gpa(0x1fff), 1)));
static_assert(!kRange.overlaps(*GpaRange::of(Gpa(0x2000), 1)));
static_assert(kRange.offset_of(Gpa(0x1fff)) == 0xfff);
static_assert(!kRange.offset_of(Gpa(0x2000)) && !kRange.offset_of(Gpa(0xfff)));
static_assert(kRange.intersection(*GpaRange::of(Gpa(0x1800), 0x1000)) ==
              GpaRange::of(Gpa(0x1800), 0x800));
static_assert(!kRange.intersection(*GpaRange::of(Gpa(0x2000), 0x1000)));

TEST(Range, AgreesWithPlainArithmeticForAllSmallRanges) {
    for (std::uint64_t a = 0; a < 8; ++a) {
        for (std::uint64_t a_size = 1; a_size < 8; ++a_size) {
            for (std::uint64_t b = 0; b < 8; ++b) {
                for (std::uint64_t b_size = 1; b_size < 8; ++b_size) {
                    const GpaRange first = *GpaRange::of(Gpa(a), a_size);
                    const GpaRange second = *GpaRange::of(Gpa(b), b_size);
                    const bool overlap = a < b + b_size && b < a + a_size;
                    EXPECT_EQ(first.overlaps(second), overlap);
                    EXPECT_EQ(first.intersection(second).has_value(), overlap);
                    EXPECT_EQ(first.contains(second), a <= b && b + b_size <= a + a_size);
                }
            }
        }
    }
}

TEST(Range, IsFormedExactlyWhenItsEndFitsInto64Bits) {
    constexpr std::array<std::uint64_t, 8> kEdges{
        0, 1, 0xfff, 0x8000'0000'0000'0000, kTop / 2, kTop - 2, kTop - 1, kTop};
    for (const std::uint64_t base : kEdges) {
        for (const std::uint64_t size : kEdges) {
            const auto range = GpaRange::of(Gpa(base), size);
            // The room from `base` to the top is kTop - base + 1 bytes.
            const bool fits = size != 0 && size - 1 <= kTop - base;
            ASSERT_EQ(range.has_value(), fits) << base << " + " << size;
            if (range) {
                EXPECT_EQ(range->size(), size);
                EXPECT_EQ(range->last().value() - base, size - 1);
            }
        }
    }
}

TEST(Address, IsFormattedInHexadecimal) {
    EXPECT_EQ(fmt::format("{}", Gpa(0xfee0'0000)), "0xfee00000");
    EXPECT_EQ(fmt::format("{}", kRange), "[0x1000-0x1fff]");
    EXPECT_EQ(fmt::format("{}", *GpaRange::of(Gpa(kTop), 1)),
              "[0xffffffffffffffff-0xffffffffffffffff]");
}

}  // namespace
}  // namespace cxlvm
