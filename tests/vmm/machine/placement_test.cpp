// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/placement.hpp"

#include <gtest/gtest.h>

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

Gpa last(std::uint64_t ram) {
    return Gpa(ram - 1);
}

TEST(Placement, TheWindowForNarrowBarsIsTheOneOfTheLayout) {
    const Placement placement = place(last(kGiB), 48);
    EXPECT_EQ(placement.mmio32.base(), layout::kMmio32);
    EXPECT_EQ(placement.mmio32.size(), layout::kMmio32Size);
}

TEST(Placement, TheWideWindowIsTheUpperHalfOfTheAddressSpace) {
    const Placement placement = place(last(kGiB), 39);
    EXPECT_EQ(placement.mmio64.base().value(), 1ULL << 38);
    EXPECT_EQ(placement.mmio64.last().value(), (1ULL << 39) - 1);
}

TEST(Placement, RamBeyondTheHalfPushesTheWindowUp) {
    const Placement placement = place(last((1ULL << 38) + 5 * kGiB + 4096), 39);
    EXPECT_EQ(placement.mmio64.base().value(), (1ULL << 38) + 6 * kGiB);
    EXPECT_EQ(placement.mmio64.last().value(), (1ULL << 39) - 1);
}

TEST(Placement, TheWindowStaysWithinWhatFourLevelPagingReaches) {
    const Placement placement = place(last(kGiB), 52);
    EXPECT_EQ(placement.mmio64.base().value(), 1ULL << 45);
    EXPECT_EQ(placement.mmio64.last().value(), (1ULL << 46) - 1);
}

TEST(Placement, TheWindowEndsBelowTheReservedRangeUnderOneTebibyte) {
    const Placement placement = place(last(kGiB), 40);
    EXPECT_EQ(placement.mmio64.base().value(), 1ULL << 39);
    EXPECT_EQ(placement.mmio64.last().value(), 0xfc'ffff'ffffULL);
}

TEST(Placement, TheWindowStartsAboveTheReservedRangeWhenThatLeavesMore) {
    const Placement placement = place(last(0xfe'0000'0000), 41);
    EXPECT_EQ(placement.mmio64.base().value(), 1ULL << 40);
    EXPECT_EQ(placement.mmio64.last().value(), (1ULL << 41) - 1);
}

TEST(Placement, TheWindowIsNeverBelowFourGibibytes) {
    const Placement placement = place(last(kGiB), 33);
    EXPECT_EQ(placement.mmio64.base().value(), 1ULL << 32);
    EXPECT_EQ(placement.mmio64.last().value(), (1ULL << 33) - 1);
}

TEST(Placement, RamThatLeavesNoRoomIsRefusedAsInput) {
    try {
        static_cast<void>(place(last((1ULL << 36) - kGiB / 2), 36));
        FAIL() << "was placed";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_NE(std::string(error.what()).find("36 bits"), std::string::npos) << error.what();
    }
}

TEST(Placement, NoRoomAboveFourGibibytesIsRefused) {
    EXPECT_THROW(static_cast<void>(place(last(kGiB), 32)), io::Error);
}

TEST(Placement, AWidthThatNoProcessorHasIsTheHostsFault) {
    for (const unsigned bits : {0U, 1U, 31U, 65U, 255U}) {
        try {
            static_cast<void>(place(last(kGiB), bits));
            ADD_FAILURE() << "placed with " << bits << " bits";
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Host);
            EXPECT_NE(std::string(error.what()).find(std::to_string(bits) + " bits"),
                      std::string::npos)
                << error.what();
        }
    }
}

TEST(Placement, RamAndWindowNeverOverlapAtAnySize) {
    for (unsigned bits = 36; bits <= 52; ++bits) {
        for (std::uint64_t ram = kGiB; ram <= (1ULL << 35); ram *= 2) {
            const Placement placement = place(last(ram), bits);
            EXPECT_GT(placement.mmio64.base(), last(ram)) << bits;
            EXPECT_GE(placement.mmio64.size(), kGiB) << bits;
            EXPECT_EQ(placement.mmio64.base().value() % kGiB, 0u) << bits;
            EXPECT_FALSE(placement.mmio64.overlaps(placement.mmio32)) << bits;
        }
    }
}

}  // namespace
}  // namespace cxlvm
