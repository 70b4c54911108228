// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/ecam.hpp"

#include <gtest/gtest.h>

#include "devices/pci/host_bridge.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

class EcamTest : public testing::Test {
  protected:
    EcamTest() {
        root_.attach({.bus = 0, .device = 0, .function = 0}, bridge_);
        root_.attach({.bus = 0, .device = 3, .function = 5}, other_);
    }
    io::Log log_{2, io::LogLevel::Off};
    HostBridge bridge_;
    HostBridge other_;
    PciBus root_{0};
    Segment segment_{root_};
    Ecam ecam_{segment_, log_};
};

TEST_F(EcamTest, FindsAFunctionByItsAddress) {
    EXPECT_EQ(test::read_value(ecam_, 0x0000'0000, 4), 0x0008'1b36U);
    constexpr std::uint64_t kOther = 3U << 15 | 5U << 12;
    ASSERT_EQ(test::write_value(ecam_, kOther | 0x3c, 1, 0x0b), IoStatus::Ok);
    EXPECT_EQ(test::read8(other_, 0x3c), 0x0bU);
    EXPECT_EQ(test::read8(bridge_, 0x3c), 0x00U);
    EXPECT_EQ(test::read_value(ecam_, kOther | 0xffc, 4), 0U) << "the extended space is there";
}

TEST_F(EcamTest, ReadsAllOnesWhereNothingIs) {
    EXPECT_EQ(test::read_value(ecam_, 1U << 12, 4), 0xffff'ffffU);
    EXPECT_EQ(test::read_value(ecam_, 1U << 20, 2), 0xffffU);
    EXPECT_EQ(test::read_value(ecam_, 0x0fff'ffff, 1), 0xffU) << "the last byte";
}

TEST_F(EcamTest, ServesEveryByteLane) {
    EXPECT_EQ(test::read_value(ecam_, 0, 1), 0x36U);
    EXPECT_EQ(test::read_value(ecam_, 1, 1), 0x1bU);
    EXPECT_EQ(test::read_value(ecam_, 2, 1), 0x08U);
    EXPECT_EQ(test::read_value(ecam_, 3, 1), 0x00U);
    EXPECT_EQ(test::read_value(ecam_, 1, 2), 0x081bU);
    EXPECT_EQ(test::read_value(ecam_, 2, 2), 0x0008U);
}

TEST_F(EcamTest, RefusesWhatCrossesADwordWhetherAFunctionIsThereOrNot) {
    for (const std::uint64_t base : {std::uint64_t{0}, std::uint64_t{9} << 15}) {
        EXPECT_EQ(test::read_status(ecam_, base, 8), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(ecam_, base, 8), IoStatus::BadSize);
        EXPECT_EQ(test::read_status(ecam_, base, 3), IoStatus::BadSize);
        EXPECT_EQ(test::read_status(ecam_, base + 3, 2), IoStatus::BadAlign);
        EXPECT_EQ(test::write_status(ecam_, base + 1, 4), IoStatus::BadAlign);
    }
}

}  // namespace
}  // namespace cxlvm::pci
