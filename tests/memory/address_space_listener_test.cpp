// SPDX-License-Identifier: Apache-2.0
#include "memory/memory_listener.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "io/error.hpp"
#include "tests/memory/address_space_fixture.hpp"

namespace cxlvm {
namespace {

/// What an address space tells its listeners, and when.
class MemoryListenerTest : public test::AddressSpaceTest {};

using test::FakeListener;
using test::kPage;
using test::read_value;
using Event = FakeListener::Event;

TEST_F(MemoryListenerTest, AListenerSeesTheWholeView) {
    FakeListener listener;
    space_.add_listener(listener);
    Region::Backing what = backing(1, 2);
    what.fd = 17;
    what.fd_offset = 0x5000;
    what.read_only = true;
    what.ram = true;
    Region region("memory", what);
    ASSERT_FALSE(space_.map(region, 0x4000));
    EXPECT_EQ(listener.last_view.range, GpaRange::of(Gpa(0x4000), 2 * kPage));
    EXPECT_EQ(listener.last_view.host.data(), what.host.data());
    EXPECT_EQ(listener.last_view.host.size(), 2 * kPage);
    EXPECT_EQ(listener.last_view.fd, 17);
    EXPECT_EQ(listener.last_view.fd_offset, 0x5000U);
    EXPECT_TRUE(listener.last_view.read_only);
    EXPECT_TRUE(listener.last_view.ram);
    space_.remove_listener(listener);
}

TEST_F(MemoryListenerTest, ListenersAreNotToldOfTrappedRegions) {
    FakeListener listener;
    space_.add_listener(listener);
    Region region("trap", 0x1000, handler_);
    ASSERT_FALSE(space_.map(region, 0));
    space_.unmap(region);
    EXPECT_EQ(listener.count, 0U);
    space_.remove_listener(listener);
}

TEST_F(MemoryListenerTest, ARefusedMappingIsRolledBackAtTheListenersToldBefore) {
    FakeListener first;
    FakeListener second;
    FakeListener third;
    second.refuses = true;
    second.refuse_base = 0x1000;
    space_.add_listener(first);
    space_.add_listener(second);
    space_.add_listener(third);
    Region region("memory", backing(0, 1));
    EXPECT_EQ(space_.map(region, 0x1000), std::errc::not_enough_memory);
    EXPECT_FALSE(region.mapped());
    EXPECT_EQ(space_.region_count(), 0U);
    EXPECT_EQ(first.seen(), (std::vector<Event>{{true, 0x1000}, {false, 0x1000}}));
    EXPECT_TRUE(second.seen().empty());
    EXPECT_TRUE(third.seen().empty());
    std::uint8_t value = 0;
    EXPECT_EQ(read_value(space_, 0x1000, value), IoStatus::Unmapped);
    EXPECT_FALSE(space_.map(region, 0x2000)) << "it can still be mapped elsewhere";
    space_.remove_listener(third);
    space_.remove_listener(second);
    space_.remove_listener(first);
}

TEST_F(MemoryListenerTest, ALateListenerIsToldOfWhatIsMappedAndOnLeavingThatItIsGone) {
    Region low("low", backing(0, 1));
    Region trap("trap", 0x1000, handler_);
    Region high("high", backing(1, 1));
    ASSERT_FALSE(space_.map(high, 0x3000));
    ASSERT_FALSE(space_.map(trap, 0x2000));
    ASSERT_FALSE(space_.map(low, 0x1000));
    FakeListener listener;
    space_.add_listener(listener);
    EXPECT_EQ(listener.seen(), (std::vector<Event>{{true, 0x1000}, {true, 0x3000}}));
    space_.remove_listener(listener);
    EXPECT_EQ(
        listener.seen(),
        (std::vector<Event>{{true, 0x1000}, {true, 0x3000}, {false, 0x3000}, {false, 0x1000}}));
    space_.remove_listener(listener);
    EXPECT_EQ(listener.count, 4U) << "leaving twice has no effect";
    space_.unmap(low);
    EXPECT_EQ(listener.count, 4U);
}

TEST_F(MemoryListenerTest, AListenerThatRefusesWhenItJoinsIsTakenBackAndNamed) {
    Region low("low", backing(0, 1));
    Region high("device memory", backing(1, 1));
    ASSERT_FALSE(space_.map(low, 0x1000));
    ASSERT_FALSE(space_.map(high, 0x3000));
    FakeListener listener;
    listener.refuses = true;
    listener.refuse_base = 0x3000;
    try {
        space_.add_listener(listener);
        FAIL() << "did not throw";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.code(), std::errc::not_enough_memory);
        EXPECT_NE(std::string(error.what()).find("device memory"), std::string::npos);
        EXPECT_NE(std::string(error.what()).find("0x3000"), std::string::npos);
    }
    EXPECT_EQ(listener.seen(), (std::vector<Event>{{true, 0x1000}, {false, 0x1000}}));
    EXPECT_FALSE(listener.is_linked());
    space_.unmap(low);
    EXPECT_EQ(listener.count, 2U);
}

// Looks the region up from within the listener's calls.
class OrderListener final : public MemoryListener {
  public:
    explicit OrderListener(AddressSpace& space) : space_(space) {}
    std::error_code mapped(const MemoryView& view) noexcept override {
        std::uint8_t value = 0;
        found_while_mapping = read_value(space_, view.range.base().value(), value) == IoStatus::Ok;
        return {};
    }
    void unmapped(const MemoryView& view) noexcept override {
        std::uint8_t value = 0;
        found_while_unmapping =
            read_value(space_, view.range.base().value(), value) == IoStatus::Ok;
    }

    std::optional<bool> found_while_mapping;
    std::optional<bool> found_while_unmapping;

  private:
    AddressSpace& space_;
};

TEST_F(MemoryListenerTest, ListenersAreToldBeforeLookupsFindTheRegionAndBeforeTheyLoseIt) {
    OrderListener listener(space_);
    space_.add_listener(listener);
    Region region("memory", backing(0, 1));
    ASSERT_FALSE(space_.map(region, 0x1000));
    EXPECT_EQ(listener.found_while_mapping, false);
    space_.unmap(region);
    EXPECT_EQ(listener.found_while_unmapping, true);
    space_.remove_listener(listener);
}

}  // namespace
}  // namespace cxlvm
