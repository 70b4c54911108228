// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/root_port.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "devices/pci/config_port.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kSecondary = 0x19;
constexpr std::uint64_t kSubordinate = 0x1a;
constexpr std::uint64_t kBridgeControl = 0x3e;
constexpr std::uint64_t kLinkControl = 0x50;  // PCI Express is the first capability, at 0x40
constexpr std::uint64_t kLinkStatus = 0x52;
constexpr std::uint64_t kSlotStatus = 0x5a;
constexpr std::uint64_t kPowerControl = 0x80;
constexpr std::uint64_t kAllOnes = 0xffff'ffff;
constexpr std::uint64_t kActive = 0x2000;

/// Two ports on bus 0; behind the first one an endpoint, behind the second one another port, and an
/// endpoint behind that.
class RootPortTest : public testing::Test {
  protected:
    RootPortTest() {
        root_.attach({.bus = 0, .device = 1, .function = 0}, port_);
        root_.attach({.bus = 0, .device = 2, .function = 0}, upper_);
        port_.attach(endpoint_);
        upper_.attach(lower_);
        lower_.attach(leaf_);
    }
    static void number(PciFunction& port, std::uint64_t secondary, std::uint64_t subordinate) {
        test::write8(port, kSecondary, secondary);
        test::write8(port, kSubordinate, subordinate);
    }
    /// The id of the function at `bus`, device 0, through ECAM.
    std::uint64_t id_at(std::uint64_t bus) { return *test::read_value(ecam_, bus << 20, 4); }
    std::uint64_t link() { return *test::read_value(port_, kLinkStatus, 2) & kActive; }

    io::Log log_{2, io::LogLevel::Off};
    PciFunction endpoint_{"endpoint", {.vendor_id = 0x1111, .device_id = 0x2222}};
    PciFunction leaf_{"leaf", {.vendor_id = 0x3333, .device_id = 0x4444}};
    FakeMsiVectors vectors_{3};
    RootPort port_{1, vectors_[0]};
    RootPort lower_{3, vectors_[1]};
    RootPort upper_{2, vectors_[2]};
    PciBus root_{0};
    Segment segment_{root_};
    Ecam ecam_{segment_, log_};
};

constexpr std::uint64_t kEndpointId = 0x2222'1111;
constexpr std::uint64_t kLeafId = 0x4444'3333;
constexpr std::uint64_t kPortId = 0x000c'1b36;

TEST_F(RootPortTest, FollowsTheHeaderOfTheStandardInEveryBit) {
    // clang-format off
    constexpr std::array kHeader = {
        RegisterSpec{.offset = 0x00, .width = 4, .reset = 0x000c'1b36},
        RegisterSpec{.offset = 0x04, .width = 2, .writable = 0x0547},
        RegisterSpec{.offset = 0x06, .width = 2, .reset = 0x0010, .w1c = 0xf900},
        RegisterSpec{.offset = 0x08, .width = 4, .reset = 0x0604'0000},
        RegisterSpec{.offset = 0x0c, .width = 4, .reset = 0x0001'0000, .writable = 0xff},
        RegisterSpec{.offset = 0x10, .width = 4}, RegisterSpec{.offset = 0x14, .width = 4},
        RegisterSpec{.offset = 0x18, .width = 4, .writable = 0x00ff'ffff},
        RegisterSpec{.offset = 0x1c, .width = 2},
        RegisterSpec{.offset = 0x1e, .width = 2, .w1c = 0xf900},
        RegisterSpec{.offset = 0x20, .width = 4, .reset = 0xfff0, .writable = 0xfff0'fff0},
        RegisterSpec{.offset = 0x24, .width = 4, .reset = 0x0001'fff1, .writable = 0xfff0'fff0},
        RegisterSpec{.offset = 0x28, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = 0x2c, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = 0x30, .width = 4},
        RegisterSpec{.offset = 0x34, .width = 4, .reset = 0x40},
        RegisterSpec{.offset = 0x38, .width = 4},
        RegisterSpec{.offset = 0x3c, .width = 2, .reset = 0x0100, .writable = 0xff},
        RegisterSpec{.offset = 0x3e, .width = 2, .writable = 0x43},
        // PCI Express (7.5.3), with a device behind the link and in the slot.
        RegisterSpec{.offset = 0x40, .width = 4, .reset = 0x0142'7c10},
        RegisterSpec{.offset = 0x44, .width = 4, .reset = 0x8000},
        RegisterSpec{.offset = 0x48, .width = 2, .writable = 0x000f},
        RegisterSpec{.offset = 0x4a, .width = 2, .w1c = 0xf},
        RegisterSpec{.offset = 0x4c, .width = 4, .reset = 0x0170'0102},
        RegisterSpec{.offset = 0x50, .width = 2, .writable = 0x0cd3},
        RegisterSpec{.offset = 0x52, .width = 2, .reset = 0x3102, .w1c = 0xc000},
        RegisterSpec{.offset = 0x54, .width = 4, .reset = 0x000c'0000},
        RegisterSpec{.offset = 0x58, .width = 2, .reset = 0x03c0, .writable = 0x13c0},
        RegisterSpec{.offset = 0x5a, .width = 2, .reset = 0x0040, .w1c = 0x100},
        RegisterSpec{.offset = 0x5c, .width = 4, .writable = 0xf},
        RegisterSpec{.offset = 0x60, .width = 4, .w1c = 0x1'0000},
        RegisterSpec{.offset = 0x64, .width = 4, .reset = 0x10},
        RegisterSpec{.offset = 0x68, .width = 4, .writable = 0x10},
        RegisterSpec{.offset = 0x6c, .width = 4, .reset = 0x6},
        RegisterSpec{.offset = 0x70, .width = 4, .reset = 0x2, .writable = 0xffbf},
        // Power management (7.5.2): of its states D1 and D2 are not taken, hence not swept.
        RegisterSpec{.offset = 0x7c, .width = 4, .reset = 0x0003'8401},
        // MSI (7.7.1): one vector, 64-bit addresses, a mask.
        RegisterSpec{.offset = 0x84, .width = 2, .reset = 0x0005},
        RegisterSpec{.offset = 0x86, .width = 2, .reset = 0x0180, .writable = 0x71},
        RegisterSpec{.offset = 0x88, .width = 4, .writable = 0xffff'fffc},
        RegisterSpec{.offset = 0x8c, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = 0x90, .width = 4, .writable = 0xffff},
        RegisterSpec{.offset = 0x94, .width = 4, .writable = 0x1},
        RegisterSpec{.offset = 0x98, .width = 4},
    };
    // clang-format on
    test::RegisterProbe probe(port_, [&] { port_.reset(); });
    probe.sweep(kHeader);
    constexpr std::array kPowerStates = {std::uint32_t{kPowerControl}};
    const auto rest = test::reserved_dwords(kHeader, kPowerStates, kConfigSpaceSize);
    EXPECT_GT(rest.size(), 900U);
    probe.sweep(rest);
}

TEST_F(RootPortTest, TakesAccessesWithinADwordUpToItsLastByte) {
    EXPECT_EQ(test::read8(port_, 0xfff), 0U);
    EXPECT_EQ(test::read_value(port_, 0x01, 2), 0x0c1bU) << "unaligned, but in one dword";
    EXPECT_EQ(test::read_status(port_, 0x23, 2), IoStatus::BadAlign);
    EXPECT_EQ(test::write_status(port_, 0x22, 4), IoStatus::BadAlign);
    EXPECT_EQ(test::read_status(port_, 0x1000, 1), IoStatus::BadSize);
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{8}}) {
        EXPECT_EQ(test::read_status(port_, 0x20, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(port_, 0x20, size), IoStatus::BadSize);
    }
    // A window is a register of two halves: each byte is written alone.
    test::write8(port_, 0x20, 0xff);
    EXPECT_EQ(test::read_value(port_, 0x20, 4), 0x0000'fff0U);
    test::write8(port_, 0x21, 0x12);
    EXPECT_EQ(test::read_value(port_, 0x20, 4), 0x0000'12f0U);
}

TEST_F(RootPortTest, LeadsToTheBusThatTheGuestNumbers) {
    EXPECT_EQ(id_at(1), kAllOnes);
    number(port_, 1, 1);
    EXPECT_EQ(id_at(1), kEndpointId);
    EXPECT_EQ(test::read_value(ecam_, 1U << 20 | 1U << 12, 4), kAllOnes) << "no second function";
    EXPECT_EQ(test::read_value(ecam_, 1U << 20 | 1U << 15, 4), kAllOnes) << "no second device";
    test::write_value(ecam_, 1U << 20 | 0x3c, 1, 0x5a);
    EXPECT_EQ(test::read8(endpoint_, 0x3c), 0x5aU);
    number(port_, 255, 255);
    EXPECT_EQ(id_at(1), kAllOnes);
    EXPECT_EQ(id_at(255), kEndpointId);
    EXPECT_EQ(port_.secondary().number(), 255U);
}

TEST_F(RootPortTest, LeadsThroughPortsBehindPorts) {
    number(upper_, 2, 4);
    EXPECT_EQ(id_at(2), kPortId);
    EXPECT_EQ(id_at(3), kAllOnes) << "within the range of the upper port, but nobody's";
    test::write8(ecam_, 2U << 20 | kSecondary, 3);
    test::write8(ecam_, 2U << 20 | kSubordinate, 4);
    EXPECT_EQ(id_at(3), kLeafId);
    EXPECT_EQ(id_at(4), kAllOnes);
    number(upper_, 2, 2);
    EXPECT_EQ(id_at(3), kAllOnes) << "the upper port does not forward it";
    EXPECT_EQ(root_.find({.bus = 2, .device = 0, .function = 0}), &lower_);
}

TEST_F(RootPortTest, AnswersWhateverNumbersTheGuestGives) {
    for (const std::uint64_t secondary : {0U, 1U, 2U, 128U, 255U}) {
        for (const std::uint64_t subordinate : {0U, 1U, 2U, 128U, 255U}) {
            number(upper_, secondary, subordinate);
            number(lower_, secondary, subordinate);
            number(port_, secondary, subordinate);
            for (std::uint64_t bus = 1; bus < 256; ++bus) {
                const bool there = bus == secondary && secondary <= subordinate;
                EXPECT_EQ(id_at(bus), there ? kEndpointId : kAllOnes) << "the first port wins";
            }
            EXPECT_EQ(root_.find({.bus = 0, .device = 1, .function = 0}), &port_);
        }
    }
}

TEST_F(RootPortTest, IsReachedThroughTheConfigurationPortsToo) {
    test::FakeSystemEventSink events;
    ConfigPort ports(segment_, events);
    number(port_, 7, 7);
    test::write_value(ports, 0, 4, 0x8007'0000);
    EXPECT_EQ(test::read_value(ports, 4, 4), kEndpointId);
    test::write_value(ports, 0, 4, 0x8008'0000);
    EXPECT_EQ(test::read_value(ports, 4, 4), kAllOnes);
}

TEST_F(RootPortTest, ResetsWhatIsBehindItOnASecondaryBusReset) {
    number(upper_, 2, 3);
    number(lower_, 3, 3);
    test::write8(leaf_, 0x3c, 0x5a);
    test::write8(upper_, 0x3c, 0x5a);
    test::write_value(upper_, kBridgeControl, 2, 0x40);
    EXPECT_EQ(test::read8(leaf_, 0x3c), 0U) << "also behind ports behind it";
    EXPECT_EQ(test::read8(lower_, kSecondary), 0U);
    EXPECT_EQ(test::read8(upper_, 0x3c), 0x5aU) << "the port itself keeps its state";
    EXPECT_EQ(id_at(2), kAllOnes) << "held in reset";
    test::write_value(upper_, kBridgeControl, 2, 0);
    EXPECT_EQ(id_at(2), kPortId);
    test::write8(lower_, 0x3c, 0x5a);
    test::write_value(upper_, kBridgeControl, 2, 0x02);
    EXPECT_EQ(test::read8(lower_, 0x3c), 0x5aU) << "other bits reset nothing";
}

TEST_F(RootPortTest, ShowsLinkAndPresenceInItsRegisters) {
    EXPECT_EQ(link(), kActive);
    EXPECT_EQ(test::read_value(port_, kSlotStatus, 2), 0x40U);
    number(port_, 1, 1);
    test::write8(endpoint_, 0x3c, 0x5a);
    test::write_value(port_, kLinkControl, 2, 0x10);
    EXPECT_EQ(link(), 0U);
    EXPECT_EQ(id_at(1), kAllOnes);
    EXPECT_EQ(test::read8(endpoint_, 0x3c), 0U) << "a link that goes down resets";
    EXPECT_EQ(test::read_value(port_, kSlotStatus, 2), 0x140U);
    test::write_value(port_, kSlotStatus, 2, 0x100);
    EXPECT_EQ(test::read_value(port_, kSlotStatus, 2), 0x40U);
    test::write_value(port_, kLinkControl, 2, 0);
    EXPECT_EQ(link(), kActive);
    EXPECT_EQ(test::read_value(port_, kSlotStatus, 2), 0x140U);
    EXPECT_EQ(id_at(1), kEndpointId);
    port_.reset();
    EXPECT_EQ(link(), kActive);
    EXPECT_EQ(test::read_value(port_, kSlotStatus, 2), 0x40U);
    EXPECT_EQ(id_at(1), kAllOnes);

    FakeMsiVector vector;
    RootPort vacant{9, vector};
    test::write8(vacant, 0x3c, 0);
    EXPECT_EQ(test::read_value(vacant, kSlotStatus, 2), 0U);
    EXPECT_EQ(*test::read_value(vacant, kLinkStatus, 2) & kActive, 0U);
}

TEST_F(RootPortTest, LeadsNowhereInD3Hot) {
    number(port_, 1, 1);
    test::write8(endpoint_, 0x3c, 0x5a);
    test::write8(port_, kPowerControl, 3);
    EXPECT_EQ(id_at(1), kAllOnes);
    test::write8(port_, kPowerControl, 0);
    EXPECT_EQ(id_at(1), kEndpointId);
    EXPECT_EQ(test::read8(endpoint_, 0x3c), 0x5aU) << "the link did not go down";
}

TEST_F(RootPortTest, ResetsWhatIsBehindItWhenItIsReset) {
    test::write8(leaf_, 0x3c, 0x5a);
    number(upper_, 2, 3);
    upper_.reset();
    EXPECT_EQ(test::read8(leaf_, 0x3c), 0U);
    EXPECT_EQ(upper_.secondary().number(), 0U);
}

TEST_F(RootPortTest, RoutesAndResetsWithoutAllocating) {
    const test::AllocationCounter allocations;
    number(upper_, 2, 3);
    number(lower_, 3, 3);
    EXPECT_EQ(id_at(3), kLeafId);
    test::write_value(upper_, kBridgeControl, 2, 0x40);
    test::write_value(upper_, kBridgeControl, 2, 0);
    EXPECT_EQ(allocations.count(), 0U);
}

TEST_F(RootPortTest, EndsInTheStateOfTheLastWriteWhenVcpusRace) {
    for (int round = 0; round < 100; ++round) {
        std::thread resetter([&] {
            for (int i = 0; i < 10; ++i) {
                test::write_value(port_, kBridgeControl, 2, i % 2 == 0 ? 0x40 : 0);
            }
        });
        std::thread reader([&] {
            for (int i = 0; i < 10; ++i) {
                const std::uint64_t id = id_at(5);
                EXPECT_TRUE(id == kEndpointId || id == kAllOnes) << id;
            }
        });
        for (std::uint64_t i = 0; i < 10; ++i) {
            number(port_, 4 + i % 2, 4 + i % 2);
        }
        resetter.join();
        reader.join();
        ASSERT_EQ(id_at(5), kEndpointId);
        ASSERT_EQ(link(), kActive);
    }
}

using BarDeathTest = BarTest;

TEST_F(BarDeathTest, GivesABridgeTwoRegistersAlone) {
    FakeMsiVector vector;
    RootPort port{1, vector};
    test::FakeHandler handler;
    Region region("region", 16, handler);
    const auto make = [&](std::uint8_t index, BarKind kind) {
        const Bars bars(port, mapper_,
                        {{.index = index, .kind = kind, .size = 16, .pieces = {{0, region}}}});
    };
    EXPECT_DEATH(make(2, BarKind::Memory32), "no BAR of this index");
    EXPECT_DEATH(make(1, BarKind::Memory64), "no BAR of this index");
    make(0, BarKind::Memory64);
}

}  // namespace
}  // namespace cxlvm::pci
