// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar_mapper.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::pci {
namespace {

using Event = test::FakeListener::Event;

class BarMapperTest : public BarTest {
  protected:
    static constexpr std::uint64_t kMemory = TestFunction::kMemory;
};

TEST_F(BarMapperTest, KeepsMemoryMappedWhileABarIsSized) {
    function_.move2(kHigh);
    function_.decode(true);
    ASSERT_EQ(take_events(), (std::vector<Event>{{true, kHigh + kMemory}}));
    for (int i = 0; i < 3; ++i) {
        function_.decode(false);
        EXPECT_EQ(touch(kHigh), IoStatus::Unmapped) << "the trapped piece goes at once";
        EXPECT_EQ(function_.size2(), TestFunction::kSize2);
        EXPECT_FALSE(function_.doorbell.mapped());
        function_.decode(true);
        EXPECT_EQ(touch(kHigh), IoStatus::Ok);
        EXPECT_EQ(touch(kHigh + TestFunction::kSize2 - 1), IoStatus::Ok);
    }
    EXPECT_TRUE(take_events().empty()) << "memory was mapped anew";
}

TEST_F(BarMapperTest, MovesKeptMemoryWhenDecodingComesBackElsewhere) {
    function_.move2(kHigh);
    function_.decode(true);
    function_.decode(false);
    take_events();
    function_.move2(kOther);
    EXPECT_TRUE(take_events().empty());
    function_.decode(true);
    EXPECT_EQ(take_events(),
              (std::vector<Event>{{false, kHigh + kMemory}, {true, kOther + kMemory}}));
    EXPECT_EQ(function_.doorbell.base(), kOther);
}

TEST_F(BarMapperTest, DropsKeptMemoryWhenDecodingComesBackAtNoPlace) {
    function_.move2(kHigh);
    function_.decode(true);
    function_.decode(false);
    function_.move2(0);
    function_.decode(true);
    EXPECT_EQ(space_.region_count(), 0U);
}

TEST_F(BarMapperTest, LetsTwoFunctionsSwapTheirPlaces) {
    function_.move2(kHigh);
    other_.move2(kOther);
    function_.decode(true);
    other_.decode(true);
    function_.decode(false);
    other_.decode(false);
    function_.move2(kOther);
    other_.move2(kHigh);
    function_.decode(true);
    EXPECT_EQ(function_.memory.base(), kOther + kMemory);
    EXPECT_EQ(function_.doorbell.base(), kOther);
    EXPECT_FALSE(other_.memory.mapped()) << "what is only kept gives way";
    other_.decode(true);
    EXPECT_EQ(other_.memory.base(), kHigh + kMemory);
    EXPECT_TRUE(other_.doorbell.mapped());
    EXPECT_EQ(space_.region_count(), 4U);
}

TEST_F(BarMapperTest, GivesKeptMemoryUpForATrappedBarThatIsWantedInItsRange) {
    function_.move2(kLow);
    function_.decode(true);
    function_.decode(false);
    other_.move0(kLow + TestFunction::kSize2 - TestFunction::kSize0);
    other_.decode(true);
    EXPECT_TRUE(other_.whole.mapped());
    EXPECT_FALSE(function_.memory.mapped());
    function_.decode(true);
    EXPECT_FALSE(function_.memory.mapped()) << "the place is taken";
    EXPECT_FALSE(function_.doorbell.mapped()) << "a BAR is mapped as a whole or not at all";
    other_.decode(false);
    EXPECT_TRUE(function_.memory.mapped()) << "the place is free again";
    EXPECT_TRUE(function_.doorbell.mapped());
}

TEST_F(BarMapperTest, GivesWayToWhatIsNoBarWhileMemoryIsOnlyKept) {
    const GpaRange page = *GpaRange::of(Gpa(kHigh + TestFunction::kSize2 - 1), 1);
    function_.move2(kHigh);
    function_.decode(true);
    mapper_.give_way(page);
    EXPECT_TRUE(function_.memory.mapped()) << "decoded: it has a right to its place";
    function_.decode(false);
    mapper_.give_way(*GpaRange::of(Gpa(kHigh + TestFunction::kSize2), 1));
    EXPECT_TRUE(function_.memory.mapped()) << "not in its range";
    mapper_.give_way(page);
    EXPECT_FALSE(function_.memory.mapped());
    function_.decode(true);
    EXPECT_EQ(function_.memory.base(), kHigh + kMemory);
}

TEST_F(BarMapperTest, DropsKeptMemoryOnReset) {
    function_.move2(kHigh);
    function_.decode(true);
    function_.decode(false);
    function_.reset();
    EXPECT_FALSE(function_.memory.mapped());
}

TEST_F(BarMapperTest, WaitsUntilAPlaceIsFreeOfOtherRegions) {
    test::FakeHandler handler;
    Region foreign("foreign", 16, handler);
    ASSERT_FALSE(space_.map(foreign, kLow + TestFunction::kSize0 - 16));
    function_.move0(kLow);
    function_.move2(kHigh);
    function_.decode(true);
    EXPECT_FALSE(function_.whole.mapped());
    EXPECT_TRUE(function_.memory.mapped()) << "other BARs of the function do not suffer";
    space_.unmap(foreign);
    other_.move0(0x1000);
    EXPECT_TRUE(function_.whole.mapped()) << "tried again at the next change of any BAR";
}

TEST_F(BarMapperTest, MapsABarAsAWholeOrNotAtAll) {
    listener_.refuses = true;
    listener_.refuse_base = kHigh + kMemory;
    function_.move2(kHigh);
    function_.decode(true);
    EXPECT_EQ(space_.region_count(), 0U);
    listener_.refuses = false;
    function_.decode(true);
    EXPECT_EQ(space_.region_count(), 2U);
}

TEST_F(BarMapperTest, ReordersTheBarsOfOneFunction) {
    function_.move0(kLow);
    function_.move2(kLow + 0x10'0000);
    function_.decode(true);
    function_.decode(false);
    function_.move0(kLow + 0x10'0000);
    function_.move2(kLow);
    function_.decode(true);
    EXPECT_EQ(function_.whole.base(), kLow + 0x10'0000);
    EXPECT_EQ(function_.memory.base(), kLow + kMemory);
}

TEST_F(BarMapperTest, AllocatesNothingWhenAGuestMovesItsBars) {
    const test::AllocationCounter allocations;
    for (std::uint64_t i = 0; i < 8; ++i) {
        function_.decode(false);
        function_.move0(kLow + i * 0x1000);
        function_.move2(kHigh + i * 0x1'0000);
        function_.decode(true);
    }
    function_.reset();
    EXPECT_EQ(allocations.count(), 0U);
}

TEST_F(BarMapperTest, EndsInTheStateOfTheLastWriteWhenVcpusRace) {
    function_.move2(kHigh);
    for (int round = 0; round < 200; ++round) {
        std::thread toggle([&] {
            for (int i = 0; i < 10; ++i) {
                function_.decode(i % 2 != 0);
            }
        });
        std::thread move([&] {
            for (std::uint64_t i = 0; i < 10; ++i) {
                function_.move0(kLow + i % 2 * 0x1000);
            }
        });
        std::thread rival([&] {
            for (int i = 0; i < 10; ++i) {
                other_.move0(kLow);
                other_.decode(i % 2 == 0);
            }
        });
        toggle.join();
        move.join();
        rival.join();
        ASSERT_TRUE(function_.whole.mapped());
        ASSERT_EQ(function_.whole.base(), kLow + 0x1000);
        ASSERT_TRUE(function_.doorbell.mapped());
        ASSERT_EQ(function_.memory.base(), kHigh + kMemory);
        ASSERT_FALSE(other_.whole.mapped());
    }
}

}  // namespace
}  // namespace cxlvm::pci
