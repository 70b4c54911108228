// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::pci {
namespace {

TEST_F(BarTest, HasTheRegistersOfTheStandardInEveryBit) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x10, .width = 4, .reset = 0, .writable = 0xffff'ff00},
        RegisterSpec{.offset = 0x14, .width = 4},
        RegisterSpec{.offset = 0x18, .width = 4, .reset = 0xc, .writable = 0xffff'c000},
        RegisterSpec{.offset = 0x1c, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = 0x20, .width = 4},
        RegisterSpec{.offset = 0x24, .width = 4},
    };
    test::RegisterProbe probe(function_, [&] { function_.reset(); });
    probe.sweep(kRegisters);
}

TEST_F(BarTest, TellsItsSizeWhenAllOnesAreWritten) {
    function_.move0(0xffff'ffff);
    EXPECT_EQ(test::read_value(function_, kBarOffset, 4), 0xffff'ff00U);
    EXPECT_EQ(function_.size2(), TestFunction::kSize2);
}

TEST_F(BarTest, TakesTheSmallestAndTheLargestSizes) {
    test::FakeHandler handler;
    Region region("region", 16, handler);
    PciFunction function("sizes", {});
    const Bars bars(function, mapper_,
                    {{.index = 0, .size = 16, .pieces = {{0, region}}},
                     {.index = 1, .size = 0x8000'0000, .pieces = {{0, region}}},
                     {.index = 4,
                      .kind = BarKind::Memory64,
                      .size = std::uint64_t{1} << 63,
                      .pieces = {{0, region}}}});
    for (std::uint64_t offset = 0x10; offset < 0x28; offset += 4) {
        test::write_value(function, offset, 4, 0xffff'ffff);
    }
    EXPECT_EQ(test::read_value(function, 0x10, 4), 0xffff'fff0U);
    EXPECT_EQ(test::read_value(function, 0x14, 4), 0x8000'0000U);
    EXPECT_EQ(test::read_value(function, 0x20, 4), 0x0000'0004U);
    EXPECT_EQ(test::read_value(function, 0x24, 4), 0x8000'0000U);
}

TEST_F(BarTest, IsThereFromItsFirstByteToItsLastWhileMemoryIsDecoded) {
    function_.move0(kLow);
    function_.move2(kHigh);
    EXPECT_EQ(touch(kLow), IoStatus::Unmapped);
    function_.decode(true);
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
        EXPECT_EQ(touch(kLow, size), IoStatus::Ok);
        EXPECT_EQ(touch(kLow + TestFunction::kSize0 - size, size), IoStatus::Ok);
        EXPECT_EQ(function_.handler0.last_offset, TestFunction::kSize0 - size);
        EXPECT_EQ(touch(kLow + TestFunction::kSize0 - size + 1, size), IoStatus::Unmapped);
        EXPECT_EQ(touch(kHigh + TestFunction::kSize2 - size, size), IoStatus::Ok);
        EXPECT_EQ(touch(kHigh + TestFunction::kSize2 - size + 1, size), IoStatus::Unmapped);
    }
    EXPECT_EQ(touch(kLow - 1), IoStatus::Unmapped);
    EXPECT_EQ(touch(kHigh), IoStatus::Ok);
    EXPECT_EQ(touch(kHigh + test::kPage), IoStatus::Unmapped) << "nothing is between the pieces";
    EXPECT_EQ(function_.memory.base(), kHigh + TestFunction::kMemory);
    function_.decode(false);
    EXPECT_EQ(touch(kLow), IoStatus::Unmapped);
    EXPECT_EQ(touch(kHigh), IoStatus::Unmapped);
}

TEST_F(BarTest, MovesWhileMemoryIsDecoded) {
    function_.decode(true);
    EXPECT_EQ(space_.region_count(), 0U) << "at address 0";
    function_.move0(kLow);
    EXPECT_EQ(function_.whole.base(), kLow);
    function_.move0(kLow + 0x1000);
    EXPECT_EQ(function_.whole.base(), kLow + 0x1000);
    EXPECT_EQ(touch(kLow), IoStatus::Unmapped);
    function_.move0(0);
    EXPECT_FALSE(function_.whole.mapped());
}

TEST_F(BarTest, IsNowhereOutsideTheGuestPhysicalSpace) {
    function_.decode(true);
    for (const std::uint64_t base :
         {kLast + 1, std::uint64_t{1} << 52, ~std::uint64_t{0}, ~std::uint64_t{0} << 14}) {
        function_.move2(base);
        EXPECT_EQ(space_.region_count(), 0U) << base;
    }
    function_.move2(kLast + 1 - TestFunction::kSize2);
    EXPECT_EQ(touch(kLast), IoStatus::Ok) << "the last place that there is";
}

TEST_F(BarTest, StartsOverOnReset) {
    function_.move0(kLow);
    function_.move2(kHigh);
    function_.decode(true);
    function_.reset();
    EXPECT_EQ(space_.region_count(), 0U);
    EXPECT_EQ(test::read_value(function_, kBarOffset, 4), 0U);
    EXPECT_EQ(test::read_value(function_, kBarOffset + 8, 4), 0xcU);
    EXPECT_EQ(test::read_value(function_, kBarOffset + 12, 4), 0U);
}

using BarDeathTest = BarTest;

TEST_F(BarDeathTest, RefusesTablesThatTheStandardHasNoPlaceFor) {
    test::FakeHandler handler;
    Region region("region", 32, handler);
    Region memory("memory", Region::Backing{.host = pages_.bytes().first(test::kPage)});
    PciFunction function("broken", {});
    const auto make = [&](BarSpec spec) { const Bars bars(function, mapper_, {std::move(spec)}); };
    const auto wide = BarKind::Memory64;
    EXPECT_DEATH(make({.index = 6, .size = 32, .pieces = {{0, region}}}), "no BAR of this index");
    EXPECT_DEATH(make({.index = 5, .kind = wide, .size = 32, .pieces = {{0, region}}}),
                 "no BAR of this index");
    EXPECT_DEATH(make({.size = 48, .pieces = {{0, region}}}), "power of two");
    EXPECT_DEATH(make({.size = 8, .pieces = {{0, region}}}), "below 16 bytes");
    EXPECT_DEATH(make({.size = std::uint64_t{1} << 32, .pieces = {{0, region}}}), "into 32 bits");
    EXPECT_DEATH(make({.size = 32}), "nothing behind it");
    EXPECT_DEATH(make({.size = 32, .pieces = {{16, region}}}), "leaves its BAR");
    EXPECT_DEATH(make({.size = 64, .pieces = {{0, region}, {16, region}}}), "overlaps another");
    EXPECT_DEATH(make({.size = 8 * test::kPage, .pieces = {{0x800, memory}}}), "whole pages");
    EXPECT_DEATH(
        const Bars twice(function_, mapper_, {{.index = 0, .size = 32, .pieces = {{0, region}}}}),
        "overlap");
}

}  // namespace
}  // namespace cxlvm::pci
