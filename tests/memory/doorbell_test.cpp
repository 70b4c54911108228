// SPDX-License-Identifier: Apache-2.0
#include "memory/doorbell.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <utility>

#include "tests/memory/address_space_fixture.hpp"

namespace cxlvm {
namespace {

/// Keeps what is connected; refuses `refused`.
class FakeHost final : public DoorbellHost {
  public:
    using Connection = std::pair<std::uint64_t, int>;

    std::error_code connect(Gpa address, int eventfd) noexcept override {
        if (address.value() == refused) {
            return std::make_error_code(std::errc::no_space_on_device);
        }
        EXPECT_TRUE(connected.insert({address.value(), eventfd}).second);
        return {};
    }
    void disconnect(Gpa address, int eventfd) noexcept override {
        connected.erase({address.value(), eventfd});
    }

    std::set<Connection> connected;
    std::uint64_t refused = test::kTop;
};

class DoorbellTest : public test::AddressSpaceTest {
  protected:
    using Connections = std::set<FakeHost::Connection>;

    const std::array<Doorbell, 2> doorbells_{Doorbell{0x0, 10}, Doorbell{0xff, 11}};
    Region region_{"trap", 0x100, handler_, doorbells_};
    FakeHost host_;
};

TEST_F(DoorbellTest, FollowTheirRegion) {
    space_.connect_doorbells(host_);
    EXPECT_EQ(host_.connected, Connections());
    ASSERT_FALSE(space_.map(region_, 0x1000));
    EXPECT_EQ(host_.connected, (Connections{{0x1000, 10}, {0x10ff, 11}}));
    space_.unmap(region_);
    EXPECT_EQ(host_.connected, Connections());
    ASSERT_FALSE(space_.map(region_, 0x8000));
    EXPECT_EQ(host_.connected, (Connections{{0x8000, 10}, {0x80ff, 11}}));
    space_.disconnect_doorbells();
    EXPECT_EQ(host_.connected, Connections());
}

TEST_F(DoorbellTest, AHostThatComesLateConnectsWhatIsMapped) {
    Region other("no doorbells", 0x100, handler_);
    ASSERT_FALSE(space_.map(region_, 0x1000));
    ASSERT_FALSE(space_.map(other, 0x2000));
    space_.connect_doorbells(host_);
    EXPECT_EQ(host_.connected.size(), 2U);
    space_.disconnect_doorbells();
    space_.connect_doorbells(host_);
    EXPECT_EQ(host_.connected.size(), 2U);
    space_.unmap(region_);
    EXPECT_EQ(host_.connected, Connections());
    space_.disconnect_doorbells();
}

TEST_F(DoorbellTest, ARegionThatCannotBeMappedConnectsNothing) {
    space_.connect_doorbells(host_);
    Region other("in the way", 0x100, handler_);
    ASSERT_FALSE(space_.map(other, 0x1080));
    EXPECT_TRUE(space_.map(region_, 0x1000));
    EXPECT_EQ(host_.connected, Connections());
    space_.disconnect_doorbells();
}

TEST_F(DoorbellTest, TheHandlerServesWhatTheHostRefuses) {
    host_.refused = 0x1000;
    space_.connect_doorbells(host_);
    ASSERT_FALSE(space_.map(region_, 0x1000));
    EXPECT_EQ(host_.connected, (Connections{{0x10ff, 11}}));
    EXPECT_EQ(test::write_value(space_, 0x1000, std::uint16_t{1}), IoStatus::Ok);
    EXPECT_EQ(handler_.writes, 1);
    EXPECT_EQ(handler_.last_offset, 0U);
    space_.disconnect_doorbells();
}

}  // namespace
}  // namespace cxlvm
