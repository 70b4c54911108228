// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bus.hpp"

#include <gtest/gtest.h>

#include "devices/pci/host_bridge.hpp"

namespace cxlvm::pci {
namespace {

class PciBusTest : public testing::Test {
  protected:
    PciBusTest() {
        bus_.attach({.bus = 2, .device = 0, .function = 0}, bridge_);
        bus_.attach({.bus = 2, .device = 31, .function = 7}, witness_);
    }
    PciBus bus_{2};
    HostBridge bridge_;
    PciFunction witness_{"witness", {.vendor_id = 0x1111}};
};

TEST_F(PciBusTest, RoutesByBusDeviceAndFunction) {
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 0}), &bridge_);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 31, .function = 7}), &witness_);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 1}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 1, .device = 0, .function = 0}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 32, .function = 0}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 8}), nullptr);
}

using PciBusDeathTest = PciBusTest;

TEST_F(PciBusDeathTest, RefusesAPlaceThatIsTakenOrElsewhere) {
    EXPECT_DEATH(bus_.attach({.bus = 2, .device = 0, .function = 0}, witness_), "taken");
    EXPECT_DEATH(bus_.attach({.bus = 0, .device = 1, .function = 0}, witness_), "no such place");
    EXPECT_DEATH(bus_.attach({.bus = 2, .device = 32, .function = 0}, witness_), "no such place");
}

}  // namespace
}  // namespace cxlvm::pci
