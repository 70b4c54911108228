// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_port.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "devices/pci/host_bridge.hpp"
#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

class ConfigPortTest : public testing::Test {
  protected:
    ConfigPortTest() {
        root_.attach({.bus = 0, .device = 0, .function = 0}, bridge_);
        root_.attach({.bus = 0, .device = 3, .function = 5}, other_);
    }
    void select(std::uint32_t address) { test::write_value(port_, 0, 4, address); }
    std::optional<std::uint64_t> selected() { return test::read_value(port_, 0, 4); }

    HostBridge bridge_;
    HostBridge other_;
    PciBus root_{0};
    Segment segment_{root_};
    test::FakeSystemEventSink events_;
    ConfigPort port_{segment_, events_};
};

TEST_F(ConfigPortTest, PassesTheProbeOfLinux) {
    // arch/x86/pci/direct.c: a byte to 0xCFB is not for us, the latch reads back, and there is a
    // host bridge among the functions of bus 0.
    EXPECT_EQ(test::write_value(port_, 3, 1, 0x01), IoStatus::Unmapped);
    EXPECT_EQ(selected(), 0U);
    select(0x8000'0000);
    EXPECT_EQ(selected(), 0x8000'0000U);
    select(0x8000'0008);
    EXPECT_EQ(test::read_value(port_, 6, 2), 0x0600U);
}

TEST_F(ConfigPortTest, LatchesWholeDwordsAndTheBitsOfAnAddressAlone) {
    select(0xffff'ffff);
    EXPECT_EQ(selected(), 0x80ff'fffcU);
    for (const std::size_t size : {std::size_t{1}, std::size_t{2}}) {
        EXPECT_EQ(test::write_status(port_, 0, size), IoStatus::Unmapped);
        EXPECT_EQ(test::read_status(port_, 0, size), IoStatus::Unmapped);
        EXPECT_EQ(test::write_status(port_, 2, size), IoStatus::Unmapped);
    }
    EXPECT_EQ(test::write_status(port_, 2, 4), IoStatus::Unmapped) << "half latch, half data";
    EXPECT_EQ(selected(), 0x80ff'fffcU);
}

TEST_F(ConfigPortTest, RoutesTheDataPortsByByteLane) {
    select(0x8000'0000);
    EXPECT_EQ(test::read_value(port_, 4, 4), 0x0008'1b36U);
    EXPECT_EQ(test::read_value(port_, 5, 2), 0x081bU);
    EXPECT_EQ(test::read_value(port_, 7, 1), 0x00U) << "the last port";
    select(0x8000'0000 | 3U << 11 | 5U << 8 | 0x3c);
    test::write_value(port_, 4, 1, 0x0b);
    EXPECT_EQ(test::read8(other_, 0x3c), 0x0bU);
    EXPECT_EQ(test::read8(bridge_, 0x3c), 0x00U);
}

TEST_F(ConfigPortTest, ReadsAllOnesForAnAbsentFunction) {
    select(0x8000'0000 | 7U << 11);
    EXPECT_EQ(test::read_value(port_, 4, 4), 0xffff'ffffU);
    select(0x8001'0000);
    EXPECT_EQ(test::read_value(port_, 4, 2), 0xffffU);
}

TEST_F(ConfigPortTest, ClaimsNoDataWhileTheAddressIsDisabled) {
    select(0x0000'003c);
    EXPECT_EQ(test::read_status(port_, 4, 4), IoStatus::Unmapped);
    EXPECT_EQ(test::write_value(port_, 4, 1, 0x0b), IoStatus::Unmapped);
    EXPECT_EQ(test::read8(bridge_, 0x3c), 0x00U);
}

TEST_F(ConfigPortTest, RefusesDataAccessesThatAreNoConfigurationRequest) {
    select(0x8000'0000);
    EXPECT_EQ(test::read_status(port_, 7, 2), IoStatus::BadAlign);
    EXPECT_EQ(test::write_status(port_, 5, 4), IoStatus::BadAlign);
    EXPECT_EQ(test::read_status(port_, 4, 8), IoStatus::BadSize);
    EXPECT_EQ(test::write_status(port_, 4, 3), IoStatus::BadSize);
    EXPECT_EQ(test::read_status(port_, 0, 8), IoStatus::Unmapped);
}

TEST_F(ConfigPortTest, ResetsTheMachineWhenTheCpuResetBitRises) {
    test::write8(port_, 1, 0x02);
    EXPECT_TRUE(events_.events().empty());
    EXPECT_EQ(test::read8(port_, 1), 0x02U);
    test::write8(port_, 1, 0x06);
    EXPECT_EQ(events_.events(), std::vector{SystemEvent::Reset});
    test::write8(port_, 1, 0x0e);
    EXPECT_EQ(events_.events().size(), 1U) << "the bit was set already";
    EXPECT_EQ(selected(), 0U) << "the latch is another register";
}

TEST_F(ConfigPortTest, KeepsTheDefinedBitsOfTheResetControl) {
    test::write8(port_, 1, 0xff);
    EXPECT_EQ(test::read8(port_, 1), 0x0eU);
}

TEST_F(ConfigPortTest, ForgetsAddressAndResetControlOnReset) {
    select(0x8000'0000);
    test::write8(port_, 1, 0x06);
    port_.reset();
    EXPECT_EQ(selected(), 0U);
    EXPECT_EQ(test::read8(port_, 1), 0U);
}

}  // namespace
}  // namespace cxlvm::pci
