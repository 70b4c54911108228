// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/segment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "devices/pci/config_port.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/root_port.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kAllOnes = 0xffff'ffff;
constexpr std::uint64_t kBridgeId = 0x0008'1b36;
constexpr std::uint64_t kPortId = 0x000c'1b36;
constexpr std::uint64_t kEndpointId = 0x2222'1111;

/// Remembers which of its writes it was told of.
class Witness final : public PciFunction {
  public:
    Witness() : PciFunction("witness", {.vendor_id = 0x1111, .device_id = 0x2222}) {}
    std::uint64_t offset = 0;
    std::size_t size = 0;

  private:
    void config_written(std::uint64_t written, std::size_t bytes) noexcept override {
        const io::MutexLock lock(mutex_);  // the lock must be free by now
        offset = written;
        size = bytes;
    }
};

/// Two host bridges, of the buses 0 to 3 and 4 to 7, each with a port on device 1; an endpoint
/// behind that of the second one.
class SegmentTest : public testing::Test {
  protected:
    SegmentTest() {
        segment_.add(first_, 3);
        segment_.add(second_, 7);
        first_.attach({.bus = 0}, first_bridge_);
        first_.attach({.bus = 0, .device = 1}, first_port_);
        second_.attach({.bus = 4}, second_bridge_);
        second_.attach({.bus = 4, .device = 1}, second_port_);
        second_port_.attach(endpoint_);
    }
    static void number(PciFunction& port, std::uint64_t secondary, std::uint64_t subordinate) {
        test::write8(port, 0x19, secondary);
        test::write8(port, 0x1a, subordinate);
    }
    std::uint64_t by_ecam(std::uint64_t bus, std::uint64_t device = 0) {
        return *test::read_value(ecam_, bus << 20 | device << 15, 4);
    }
    std::uint64_t by_ports(std::uint64_t bus) {
        test::write_value(ports_, 0, 4, 0x8000'0000 | bus << 16);
        return *test::read_value(ports_, 4, 4);
    }

    io::Log log_{2, io::LogLevel::Off};
    test::FakeSystemEventSink events_;
    HostBridge first_bridge_;
    HostBridge second_bridge_;
    FakeMsiVectors vectors_{2};
    RootPort first_port_{1, vectors_[0]};
    RootPort second_port_{2, vectors_[1]};
    Witness endpoint_;
    PciBus first_{0};
    PciBus second_{4};
    Segment segment_;
    Ecam ecam_{segment_, log_};
    ConfigPort ports_{segment_, events_};
};

TEST_F(SegmentTest, HasAHostBridgeOnEachRootBusAndNothingElsewhere) {
    for (std::uint64_t bus = 0; bus < 256; ++bus) {
        const std::uint64_t expected = bus == 0 || bus == 4 ? kBridgeId : kAllOnes;
        EXPECT_EQ(by_ecam(bus), expected) << bus;
        EXPECT_EQ(by_ports(bus), expected) << bus;
    }
    EXPECT_EQ(by_ecam(0, 1), kPortId);
    EXPECT_EQ(by_ecam(4, 1), kPortId);
    EXPECT_EQ(segment_.find({.bus = 4, .device = 1}), &second_port_);
}

TEST_F(SegmentTest, LeadsThroughThePortsOfTheBridgeThatTheBusBelongsTo) {
    number(second_port_, 5, 5);
    EXPECT_EQ(by_ecam(5), kEndpointId);
    EXPECT_EQ(by_ports(5), kEndpointId);
    number(second_port_, 7, 7);
    EXPECT_EQ(by_ecam(7), kEndpointId) << "the last bus of the bridge";
    EXPECT_EQ(by_ecam(5), kAllOnes);
}

TEST_F(SegmentTest, PassesNothingToAPortWhoseNumbersBelongToAnotherBridge) {
    number(second_port_, 2, 2);
    EXPECT_EQ(by_ecam(2), kAllOnes);
    number(second_port_, 8, 8);
    EXPECT_EQ(by_ecam(8), kAllOnes) << "behind the last bus of all bridges";
    number(first_port_, 4, 7);
    number(second_port_, 5, 5);
    EXPECT_EQ(by_ecam(4), kBridgeId);
    EXPECT_EQ(by_ecam(5), kEndpointId);
}

TEST_F(SegmentTest, AnswersForAbsentFunctionsWithAllOnesAndDropsTheirWrites) {
    std::array<std::byte, 4> data{};
    for (const Bdf absent : {Bdf{.bus = 0, .device = 5}, Bdf{.bus = 0, .device = 32},
                             Bdf{.bus = 4, .device = 0, .function = 8}, Bdf{.bus = 200}}) {
        data.fill(std::byte{0});
        EXPECT_EQ(segment_.read(absent, 0, data), IoStatus::Ok);
        EXPECT_TRUE(std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0xff}; }));
        EXPECT_EQ(segment_.write(absent, 0, data), IoStatus::Ok);
    }
}

TEST_F(SegmentTest, TellsAFunctionOfAWriteWithItsLockReleased) {
    number(second_port_, 5, 5);
    const std::array data = {std::byte{7}, std::byte{0}};
    ASSERT_EQ(segment_.write({.bus = 5}, 0x04, data), IoStatus::Ok);
    EXPECT_EQ(endpoint_.offset, 0x04U);
    EXPECT_EQ(endpoint_.size, 2U);
}

TEST_F(SegmentTest, GivesASingleRootBusAllNumbersFromItsOwnOn) {
    PciBus alone{0};
    HostBridge bridge;
    RootPort port{1, vectors_[0]};
    Witness endpoint;
    alone.attach({}, bridge);
    alone.attach({.device = 1}, port);
    port.attach(endpoint);
    Segment segment(alone);
    number(port, 255, 255);
    EXPECT_EQ(segment.find({.bus = 255}), &endpoint);
}

using SegmentDeathTest = SegmentTest;

TEST_F(SegmentDeathTest, RefusesNumbersThatBelongToTwoBridges) {
    PciBus overlapping{7};
    EXPECT_DEATH(segment_.add(overlapping, 9), "two host bridges");
    PciBus around{8};
    EXPECT_DEATH(segment_.add(around, 7), "empty");
}

}  // namespace
}  // namespace cxlvm::pci
