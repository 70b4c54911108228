// SPDX-License-Identifier: Apache-2.0
#include "memory/address_space.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "tests/memory/address_space_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm {
namespace {

using test::AddressSpaceTest;
using test::FakeHandler;
using test::FakeListener;
using test::kPage;
using test::kTop;
using test::read_value;
using test::write_value;
using Event = FakeListener::Event;

TEST_F(AddressSpaceTest, UnclaimedReadsGiveAllOnesAndUnclaimedWritesAreReported) {
    std::uint32_t value = 0;
    EXPECT_EQ(read_value(space_, 0x1000, value), IoStatus::Unmapped);
    EXPECT_EQ(value, 0xffff'ffffU);
    EXPECT_EQ(write_value(space_, 0x1000, value), IoStatus::Unmapped);
}

TEST_F(AddressSpaceTest, ATrappedRegionIsCalledWithTheOffset) {
    Region region("trap", 0x100, handler_);
    ASSERT_FALSE(space_.map(region, 0x1000));
    EXPECT_TRUE(region.mapped());
    EXPECT_EQ(region.base(), 0x1000U);
    EXPECT_FALSE(region.is_memory());
    std::uint16_t value = 0;
    EXPECT_EQ(read_value(space_, 0x1010, value), IoStatus::Ok);
    EXPECT_EQ(value, 0x5a5a);
    EXPECT_EQ(handler_.last_offset, 0x10U);
    EXPECT_EQ(handler_.last_size, 2U);
    EXPECT_EQ(write_value(space_, 0x10ff, std::uint8_t{1}), IoStatus::Ok);
    EXPECT_EQ(handler_.last_offset, 0xffU);
    EXPECT_EQ(handler_.writes, 1);
}

TEST_F(AddressSpaceTest, AReadThatTheHandlerRefusesGivesAllOnes) {
    Region region("trap", 0x100, handler_);
    ASSERT_FALSE(space_.map(region, 0));
    for (const IoStatus status : {IoStatus::Unmapped, IoStatus::BadSize, IoStatus::BadAlign}) {
        handler_.status = status;
        std::uint64_t value = 0;
        EXPECT_EQ(read_value(space_, 0, value), status);
        EXPECT_EQ(value, kTop);
        EXPECT_EQ(write_value(space_, 0, value), status);
    }
}

TEST_F(AddressSpaceTest, AWholeAccessMustLieInOneRegion) {
    Region low("low", 0x10, handler_);
    FakeHandler other;
    Region high("high", 0x10, other);
    ASSERT_FALSE(space_.map(low, 0x100));
    ASSERT_FALSE(space_.map(high, 0x110));
    for (std::uint64_t address = 0xf0; address < 0x130; ++address) {
        for (const std::size_t size : {1U, 2U, 4U, 8U}) {
            std::array<std::byte, 8> data{};
            const bool inside = (address >= 0x100 && address + size <= 0x110) ||
                                (address >= 0x110 && address + size <= 0x120);
            const IoStatus status = space_.read(address, std::span(data).first(size));
            EXPECT_EQ(status == IoStatus::Ok, inside) << address << " " << size;
            EXPECT_EQ(data[0], inside ? std::byte{0x5a} : std::byte{0xff});
        }
    }
}

TEST_F(AddressSpaceTest, ARegionMayEndAtTheLastByteOfTheSpace) {
    Region region("top", 8, handler_);
    EXPECT_EQ(space_.map(region, kTop - 6), std::errc::invalid_argument);
    EXPECT_FALSE(region.mapped());
    ASSERT_FALSE(space_.map(region, kTop - 7));
    std::uint8_t value = 0;
    EXPECT_EQ(read_value(space_, kTop, value), IoStatus::Ok);
    EXPECT_EQ(handler_.last_offset, 7U);
    std::uint16_t wide = 0;
    EXPECT_EQ(read_value(space_, kTop, wide), IoStatus::Unmapped);
    EXPECT_EQ(wide, 0xffff);
}

TEST_F(AddressSpaceTest, NoAddressAndSizeWrapsRoundIntoARegion) {
    Region first("first", 0x10, handler_);
    ASSERT_FALSE(space_.map(first, 0));
    for (std::uint64_t back = 0; back < 16; ++back) {
        for (const std::size_t size : {1U, 2U, 4U, 8U}) {
            std::array<std::byte, 8> data{};
            EXPECT_EQ(space_.read(kTop - back, std::span(data).first(size)), IoStatus::Unmapped);
            EXPECT_EQ(space_.write(kTop - back, std::span(data).first(size)), IoStatus::Unmapped);
        }
    }
    EXPECT_EQ(handler_.reads + handler_.writes, 0);
}

TEST_F(AddressSpaceTest, AnEmptyAccessIsUnmapped) {
    Region region("trap", 0x10, handler_);
    ASSERT_FALSE(space_.map(region, 0));
    EXPECT_EQ(space_.read(0, {}), IoStatus::Unmapped);
    EXPECT_EQ(space_.write(0, {}), IoStatus::Unmapped);
    EXPECT_EQ(handler_.reads + handler_.writes, 0);
}

TEST_F(AddressSpaceTest, OverlapWithANeighbourIsRefusedAndTouchingOneIsNot) {
    Region middle("middle", 0x100, handler_);
    ASSERT_FALSE(space_.map(middle, 0x1000));
    Region other("other", 0x100, handler_);
    for (const std::uint64_t base : {0xf01ULL, 0xfffULL, 0x1000ULL, 0x1001ULL, 0x10ffULL}) {
        EXPECT_EQ(space_.map(other, base), std::errc::file_exists) << base;
        EXPECT_FALSE(other.mapped());
    }
    EXPECT_FALSE(space_.map(other, 0xf00));
    space_.unmap(other);
    EXPECT_FALSE(space_.map(other, 0x1100));
    Region around("around", 0x1000, handler_);
    EXPECT_EQ(space_.map(around, 0x800), std::errc::file_exists);
}

TEST_F(AddressSpaceTest, AMappedRegionIsBusyWhereverItIsMapped) {
    AddressSpace other(1);
    Region region("trap", 0x10, handler_);
    ASSERT_FALSE(space_.map(region, 0));
    EXPECT_EQ(space_.map(region, 0x100), std::errc::device_or_resource_busy);
    EXPECT_EQ(other.map(region, 0x100), std::errc::device_or_resource_busy);
    EXPECT_EQ(region.base(), 0U);
    other.unmap(region);
    EXPECT_TRUE(region.mapped()) << "unmapping where it is not mapped has no effect";
    space_.unmap(region);
    space_.unmap(region);
    EXPECT_FALSE(region.mapped());
    EXPECT_FALSE(other.map(region, 0x100));
}

TEST_F(AddressSpaceTest, AFullSpaceRefusesAndTakesAgainAfterAnUnmap) {
    AddressSpace small(1);
    Region first("first", 1, handler_);
    Region second("second", 1, handler_);
    ASSERT_FALSE(small.map(first, 5));
    EXPECT_EQ(small.map(second, 6), std::errc::no_space_on_device);
    EXPECT_EQ(small.region_count(), 1U);
    small.unmap(first);
    EXPECT_EQ(small.region_count(), 0U);
    EXPECT_FALSE(small.map(second, 6));
}

TEST_F(AddressSpaceTest, AnEmptyRegionIsRefused) {
    Region region("empty", 0, handler_);
    EXPECT_EQ(space_.map(region, 0), std::errc::invalid_argument);
}

TEST_F(AddressSpaceTest, MemoryMustBePageAlignedInBaseSizeAndHost) {
    Region region("memory", backing(0, 1));
    EXPECT_EQ(space_.map(region, 0x800), std::errc::invalid_argument);
    Region short_region("short", {.host = pages_.bytes().first(0x800)});
    EXPECT_EQ(space_.map(short_region, 0), std::errc::invalid_argument);
    Region crooked("crooked", {.host = pages_.bytes().subspan(0x800, kPage)});
    EXPECT_EQ(space_.map(crooked, 0), std::errc::invalid_argument);
    EXPECT_FALSE(space_.map(region, 0x1000));
}

TEST_F(AddressSpaceTest, ARegionUnmapsItselfWhenItIsDestroyed) {
    FakeListener listener;
    space_.add_listener(listener);
    {
        Region region("memory", backing(0, 1));
        ASSERT_FALSE(space_.map(region, 0x1000));
        EXPECT_EQ(space_.region_count(), 1U);
    }
    EXPECT_EQ(space_.region_count(), 0U);
    EXPECT_EQ(listener.seen(), (std::vector<Event>{{true, 0x1000}, {false, 0x1000}}));
    space_.remove_listener(listener);
}

TEST_F(AddressSpaceTest, MemoryIsServedByCopyingAtEverySizeAndAlignment) {
    Region region("memory", backing(0, 2));
    ASSERT_FALSE(space_.map(region, 0x10000));
    for (const std::size_t size : {1U, 2U, 3U, 4U, 5U, 8U, 16U, 64U}) {
        for (std::size_t offset = 0; offset < 16; ++offset) {
            std::array<std::byte, 64> out{};
            std::array<std::byte, 64> in{};
            for (std::size_t i = 0; i < size; ++i) {
                out[i] = static_cast<std::byte>(size * 16 + offset + i);
            }
            const std::uint64_t address = 0x10000 + 2 * kPage - 128 + offset;
            ASSERT_EQ(space_.write(address, std::span(out).first(size)), IoStatus::Ok);
            ASSERT_EQ(space_.read(address, std::span(in).first(size)), IoStatus::Ok);
            EXPECT_EQ(in, out);
            EXPECT_EQ(std::memcmp(&pages_.bytes()[2 * kPage - 128 + offset], out.data(), size), 0);
        }
    }
    std::uint8_t last = 7;
    EXPECT_EQ(write_value(space_, 0x10000 + 2 * kPage - 1, last), IoStatus::Ok);
    EXPECT_EQ(write_value(space_, 0x10000 + 2 * kPage - 1, std::uint16_t{7}), IoStatus::Unmapped);
    EXPECT_EQ(pages_.bytes()[2 * kPage - 1], std::byte{7});
    EXPECT_EQ(pages_.bytes()[2 * kPage], std::byte{0}) << "the next page is another's";
}

TEST_F(AddressSpaceTest, ReadOnlyMemoryTakesWritesWithoutEffect) {
    Region::Backing rom = backing(0, 1);
    rom.read_only = true;
    Region region("rom", rom);
    pages_.bytes()[0] = std::byte{0x42};
    ASSERT_FALSE(space_.map(region, 0));
    EXPECT_EQ(write_value(space_, 0, std::uint8_t{1}), IoStatus::Ok);
    std::uint8_t value = 0;
    EXPECT_EQ(read_value(space_, 0, value), IoStatus::Ok);
    EXPECT_EQ(value, 0x42);
}

// A device whose register moves another region, as a PCI command register does.
class RemappingHandler final : public IoHandler {
  public:
    RemappingHandler(AddressSpace& space, Region& target) : space_(space), target_(target) {}
    IoStatus read(std::uint64_t, std::span<std::byte>) noexcept override { return IoStatus::Ok; }
    IoStatus write(std::uint64_t, std::span<const std::byte>) noexcept override {
        space_.unmap(target_);
        return space_.map(target_, 0x8000) ? IoStatus::BadSize : IoStatus::Ok;
    }

  private:
    AddressSpace& space_;
    Region& target_;
};

TEST_F(AddressSpaceTest, AHandlerMayMapAndUnmapBecauseNoLockIsHeld) {
    Region target("target", 0x10, handler_);
    ASSERT_FALSE(space_.map(target, 0x7000));
    RemappingHandler remapping(space_, target);
    Region control("control", 4, remapping);
    ASSERT_FALSE(space_.map(control, 0));
    EXPECT_EQ(write_value(space_, 0, std::uint32_t{1}), IoStatus::Ok);
    EXPECT_EQ(target.base(), 0x8000U);
}

TEST_F(AddressSpaceTest, MappingLookupAndUnmappingAllocateNothing) {
    FakeListener listener;
    space_.add_listener(listener);
    Region memory("memory", backing(0, 1));
    Region trap("trap", 0x1000, handler_);
    const test::AllocationCounter allocations;
    for (int i = 0; i < 4; ++i) {
        const bool mapped = !space_.map(memory, 0x1000) && !space_.map(trap, 0x2000);
        std::uint32_t value = 0;
        const bool served = read_value(space_, 0x1000, value) == IoStatus::Ok &&
                            read_value(space_, 0x2000, value) == IoStatus::Ok &&
                            write_value(space_, 0x1000, value) == IoStatus::Ok &&
                            write_value(space_, 0x2000, value) == IoStatus::Ok &&
                            read_value(space_, 0x9000, value) == IoStatus::Unmapped;
        space_.unmap(trap);
        space_.unmap(memory);
        ASSERT_TRUE(mapped && served);
    }
    EXPECT_EQ(allocations.count(), 0U);
    space_.remove_listener(listener);
}

TEST_F(AddressSpaceTest, IsNotDestroyedUnderItsRegions) {
    Region region("trap", 0x10, handler_);
    EXPECT_DEATH(
        {
            AddressSpace doomed(1);
            static_cast<void>(doomed.map(region, 0));
        },
        "regions still mapped");
}

}  // namespace
}  // namespace cxlvm
