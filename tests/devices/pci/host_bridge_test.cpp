// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/host_bridge.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::pci {
namespace {

TEST(HostBridge, IsOfTheClassThatLinuxLooksForOnBusZero) {
    HostBridge bridge;
    EXPECT_EQ(test::read_value(bridge, 0x0a, 2), 0x0600U);
    EXPECT_EQ(test::read_value(bridge, 0x00, 4), 0x0008'1b36U);
}

TEST(HostBridge, FollowsTheHeaderOfTheStandardInEveryBit) {
    // Reset, writable and write-1-to-clear bits as 7.5.1 prints them.
    // clang-format off
    constexpr std::array kHeader = {
        RegisterSpec{.offset = 0x00, .width = 2, .reset = 0x1b36},
        RegisterSpec{.offset = 0x02, .width = 2, .reset = 0x0008},
        RegisterSpec{.offset = 0x04, .width = 2, .writable = 0x0547},
        RegisterSpec{.offset = 0x06, .width = 2, .w1c = 0xf900},
        RegisterSpec{.offset = 0x08, .width = 4, .reset = 0x0600'0000},
        RegisterSpec{.offset = 0x0c, .width = 1, .writable = 0xff},
        RegisterSpec{.offset = 0x0d, .width = 1},
        RegisterSpec{.offset = 0x0e, .width = 2},
        RegisterSpec{.offset = 0x10, .width = 4}, RegisterSpec{.offset = 0x14, .width = 4},
        RegisterSpec{.offset = 0x18, .width = 4}, RegisterSpec{.offset = 0x1c, .width = 4},
        RegisterSpec{.offset = 0x20, .width = 4}, RegisterSpec{.offset = 0x24, .width = 4},
        RegisterSpec{.offset = 0x28, .width = 4}, RegisterSpec{.offset = 0x2c, .width = 4},
        RegisterSpec{.offset = 0x30, .width = 4}, RegisterSpec{.offset = 0x34, .width = 4},
        RegisterSpec{.offset = 0x38, .width = 4},
        RegisterSpec{.offset = 0x3c, .width = 1, .writable = 0xff},
        RegisterSpec{.offset = 0x3d, .width = 1},
    };
    // clang-format on
    HostBridge bridge;
    test::RegisterProbe probe(bridge, [&] { bridge.reset(); });
    probe.sweep(kHeader);
    const auto rest = test::reserved_dwords(kHeader, {}, kConfigSpaceSize);
    EXPECT_GT(rest.size(), 1000U);
    probe.sweep(rest);
}

TEST(HostBridge, TakesAccessesWithinADwordUpToItsLastByte) {
    HostBridge bridge;
    EXPECT_EQ(test::read8(bridge, 0xfff), 0U);
    EXPECT_EQ(test::read_value(bridge, 0xffc, 4), 0U);
    EXPECT_EQ(test::read_value(bridge, 0x01, 2), 0x081bU) << "unaligned, but in one dword";
    EXPECT_EQ(test::read_status(bridge, 0x03, 2), IoStatus::BadAlign);
    EXPECT_EQ(test::write_status(bridge, 0x02, 4), IoStatus::BadAlign);
    EXPECT_EQ(test::read_status(bridge, 0x1000, 4), IoStatus::BadSize);
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{8}}) {
        EXPECT_EQ(test::read_status(bridge, 0, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(bridge, 0, size), IoStatus::BadSize);
    }
}

}  // namespace
}  // namespace cxlvm::pci
