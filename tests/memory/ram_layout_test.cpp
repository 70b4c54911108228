// SPDX-License-Identifier: Apache-2.0
#include "memory/ram_layout.hpp"

#include <gtest/gtest.h>

namespace cxlvm {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kTop = ~std::uint64_t{0};
constexpr Gpa kHole{3 * kGiB};
constexpr Gpa kHigh{4 * kGiB};

TEST(PlaceRam, WhatFitsBelowTheHoleIsOnePieceAtZero) {
    for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{4096}, kGiB, 3 * kGiB}) {
        const auto pieces = place_ram(size, kHole, kHigh);
        ASSERT_TRUE(pieces);
        ASSERT_EQ(pieces->size(), 1U);
        EXPECT_EQ(pieces->front().range, GpaRange::of(Gpa(0), size));
        EXPECT_EQ(pieces->front().offset, 0U);
    }
}

TEST(PlaceRam, TheRestGoesAboveTheHole) {
    for (const std::uint64_t rest : {std::uint64_t{1}, std::uint64_t{4096}, kGiB, 100 * kGiB}) {
        const auto pieces = place_ram(3 * kGiB + rest, kHole, kHigh);
        ASSERT_TRUE(pieces);
        ASSERT_EQ(pieces->size(), 2U);
        EXPECT_EQ(pieces->front().range, GpaRange::of(Gpa(0), 3 * kGiB));
        EXPECT_EQ(pieces->back().range, GpaRange::of(kHigh, rest));
        EXPECT_EQ(pieces->back().offset, 3 * kGiB);
    }
}

TEST(PlaceRam, AnEmptyHoleDoesNotSplit) {
    const auto pieces = place_ram(8 * kGiB, kHole, kHole);
    ASSERT_TRUE(pieces);
    ASSERT_EQ(pieces->size(), 1U);
    EXPECT_EQ(pieces->front().range, GpaRange::of(Gpa(0), 8 * kGiB));
}

TEST(PlaceRam, RamMayReachTheLastByteOfTheSpaceAndNoFurther) {
    const Gpa high{kTop - 0xfff};
    const auto pieces = place_ram(0x2000, Gpa(0x1000), high);
    ASSERT_TRUE(pieces);
    EXPECT_EQ(pieces->back().range.last(), Gpa(kTop));
    EXPECT_FALSE(place_ram(0x2001, Gpa(0x1000), high));
    EXPECT_FALSE(place_ram(kTop, Gpa(0x1000), Gpa(0x3000)));
}

TEST(PlaceRam, RefusesNonsense) {
    EXPECT_FALSE(place_ram(0, kHole, kHigh));
    EXPECT_FALSE(place_ram(0, kHole, kHole));
    EXPECT_FALSE(place_ram(kGiB, Gpa(0), kHigh));
    EXPECT_FALSE(place_ram(kGiB, kHigh, kHole));
}

TEST(PlaceRam, PiecesAddUpAndNeverLieInTheHole) {
    const GpaRange hole = *GpaRange::between(kHole, Gpa(kHigh.value() - 1));
    for (std::uint64_t size = kGiB / 4; size < 8 * kGiB; size += kGiB / 4) {
        const auto pieces = place_ram(size, kHole, kHigh);
        ASSERT_TRUE(pieces);
        std::uint64_t sum = 0;
        for (const RamPiece& piece : *pieces) {
            EXPECT_EQ(piece.offset, sum);
            EXPECT_FALSE(piece.range.overlaps(hole));
            sum += piece.range.size();
        }
        EXPECT_EQ(sum, size);
    }
}

}  // namespace
}  // namespace cxlvm
