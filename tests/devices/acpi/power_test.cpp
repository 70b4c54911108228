// SPDX-License-Identifier: Apache-2.0
#include "devices/acpi/power.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_irq_line.hpp"
#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::acpi {
namespace {

using test::read8;
using test::write8;

constexpr std::uint8_t kSleepEnableBit = 0x20;

class PowerTest : public testing::Test {
  protected:
    io::Log log_{2, io::LogLevel::Off};
    test::FakeSystemEventSink events_;
    test::FakeIrqLine irq_;
    Power power_{events_, irq_, log_};
};

TEST_F(PowerTest, FollowsItsRegisterTableInEveryBit) {
    test::RegisterProbe probe(power_, [this] { power_.reset(); });
    probe.sweep(Power::registers());
}

TEST_F(PowerTest, PowersOffOnSleepTypeFiveWithSleepEnable) {
    // The bits as ACPI 6.5, 4.8.3.7 prints them, not as our constants have them.
    ASSERT_EQ(write8(power_, power_offset::kSleepControl, 5U << 2 | kSleepEnableBit), IoStatus::Ok);
    EXPECT_EQ(events_.events(), std::vector{SystemEvent::PowerOff});
    EXPECT_EQ(read8(power_, power_offset::kSleepControl), 5U << 2) << "SLP_EN reads as zero";
}

TEST_F(PowerTest, DoesNothingWithoutSleepEnableOrForAnotherSleepType) {
    write8(power_, power_offset::kSleepControl, 5U << 2);
    for (unsigned type = 0; type < 8; ++type) {
        if (type != kSleepTypeS5) {
            write8(power_, power_offset::kSleepControl, type << 2 | kSleepEnableBit);
        }
    }
    EXPECT_TRUE(events_.events().empty());
}

TEST_F(PowerTest, ResetsOnTheMagicValueAlone) {
    for (unsigned value = 0; value < 256; ++value) {
        if (value != kResetValue) {
            write8(power_, power_offset::kReset, value);
        }
    }
    EXPECT_TRUE(events_.events().empty());
    write8(power_, power_offset::kReset, kResetValue);
    EXPECT_EQ(events_.events(), std::vector{SystemEvent::Reset});
}

TEST_F(PowerTest, ReportsThePowerButtonUntilItIsCleared) {
    EXPECT_EQ(read8(power_, power_offset::kEvents), 0U);
    power_.press_power_button();
    EXPECT_EQ(irq_.pulses(), 1U);
    EXPECT_EQ(read8(power_, power_offset::kEvents), 1U);
    EXPECT_EQ(read8(power_, power_offset::kEvents), 1U) << "reading does not clear";
    write8(power_, power_offset::kEvents, 0xfe);
    EXPECT_EQ(read8(power_, power_offset::kEvents), 1U);
    write8(power_, power_offset::kEvents, 1);
    EXPECT_EQ(read8(power_, power_offset::kEvents), 0U);
}

TEST_F(PowerTest, GivesAnEdgeForEveryPress) {
    power_.press_power_button();
    power_.press_power_button();
    EXPECT_EQ(irq_.pulses(), 2U);
}

TEST_F(PowerTest, ForgetsAPressOnReset) {
    power_.press_power_button();
    power_.reset();
    EXPECT_EQ(read8(power_, power_offset::kEvents), 0U);
}

TEST_F(PowerTest, ServesBytesUpToTheLastPortAndNothingWider) {
    EXPECT_EQ(read8(power_, kPowerPorts - 1), 0U);
    EXPECT_EQ(write8(power_, kPowerPorts - 1, 0xff), IoStatus::Ok);
    EXPECT_EQ(test::read_status(power_, kPowerPorts, 1), IoStatus::BadSize);
    EXPECT_EQ(test::write_status(power_, kPowerPorts, 1), IoStatus::BadSize);
    for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
        EXPECT_EQ(test::read_status(power_, power_offset::kReset, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(power_, power_offset::kReset, size), IoStatus::BadSize);
    }
    EXPECT_TRUE(events_.events().empty());
}

}  // namespace
}  // namespace cxlvm::acpi
