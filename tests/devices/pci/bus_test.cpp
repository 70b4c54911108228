// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bus.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "devices/pci/host_bridge.hpp"

namespace cxlvm::pci {
namespace {

/// Remembers which of its writes it was told of.
class Witness final : public PciFunction {
  public:
    Witness() : PciFunction("witness", {.vendor_id = 0x1111}) {}
    std::uint64_t offset = 0;
    std::size_t size = 0;

  private:
    void config_written(std::uint64_t written, std::size_t bytes) noexcept override {
        const io::MutexLock lock(mutex_);  // the lock must be free by now
        offset = written;
        size = bytes;
    }
};

class PciBusTest : public testing::Test {
  protected:
    PciBusTest() {
        bus_.attach({.bus = 2, .device = 0, .function = 0}, bridge_);
        bus_.attach({.bus = 2, .device = 31, .function = 7}, witness_);
    }
    PciBus bus_{2};
    HostBridge bridge_;
    Witness witness_;
};

TEST_F(PciBusTest, RoutesByBusDeviceAndFunction) {
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 0}), &bridge_);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 31, .function = 7}), &witness_);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 1}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 1, .device = 0, .function = 0}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 32, .function = 0}), nullptr);
    EXPECT_EQ(bus_.find({.bus = 2, .device = 0, .function = 8}), nullptr);
}

TEST_F(PciBusTest, AnswersForAbsentFunctionsWithAllOnesAndDropsTheirWrites) {
    std::array<std::byte, 4> data{};
    const Bdf absent{.bus = 2, .device = 5, .function = 0};
    EXPECT_EQ(bus_.read(absent, 0, data), IoStatus::Ok);
    EXPECT_TRUE(std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0xff}; }));
    EXPECT_EQ(bus_.write(absent, 0, data), IoStatus::Ok);
}

TEST_F(PciBusTest, TellsAFunctionOfAWriteWithItsLockReleased) {
    const std::array data = {std::byte{7}, std::byte{0}};
    ASSERT_EQ(bus_.write({.bus = 2, .device = 31, .function = 7}, 0x04, data), IoStatus::Ok);
    EXPECT_EQ(witness_.offset, 0x04U);
    EXPECT_EQ(witness_.size, 2U);
}

using PciBusDeathTest = PciBusTest;

TEST_F(PciBusDeathTest, RefusesAPlaceThatIsTakenOrElsewhere) {
    EXPECT_DEATH(bus_.attach({.bus = 2, .device = 0, .function = 0}, witness_), "taken");
    EXPECT_DEATH(bus_.attach({.bus = 0, .device = 1, .function = 0}, witness_), "no such place");
    EXPECT_DEATH(bus_.attach({.bus = 2, .device = 32, .function = 0}, witness_), "no such place");
}

}  // namespace
}  // namespace cxlvm::pci
