// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/notify_ports.hpp"

#include <gtest/gtest.h>

#include "tests/devices/virtio_pci/function_fixture.hpp"

namespace cxlvm::virtio {
namespace {

constexpr std::uint64_t kBar2 = 0x18;
constexpr std::uint16_t kDecodePorts = 0x1;
constexpr std::uint64_t kPorts = 0x1000;

/// A second function, which has ports.
class NotifyPortsTest : public FunctionTest {
  protected:
    NotifyPortsTest() { ports_.connect_doorbells(bells_); }

    std::uint64_t read_config(std::uint64_t offset, std::size_t size) {
        return test::read_value(with_ports_, offset, size).value();
    }
    void write_config(std::uint64_t offset, std::size_t size, std::uint64_t value) {
        ASSERT_EQ(test::write_value(with_ports_, offset, size, value), IoStatus::Ok);
    }
    IoStatus out(std::uint64_t port, std::size_t size) {
        const std::uint64_t value = 0;
        return ports_.write(port, std::as_bytes(std::span(&value, 1)).first(size));
    }

    AddressSpace ports_{8};
    FakeDoorbellHost bells_;
    pci::BarMapper port_mapper_{space_, Gpa((std::uint64_t{1} << 46) - 1), log_, &ports_};
    test::FakeVirtioDevice other_device_;
    test::FakeIrqLine other_pin_;
    pci::FakeMsiVectors other_vectors_{VirtioFunction::vectors_of(other_device_)};
    VirtioFunction with_ports_{other_device_,
                               {.memory = memory_,
                                .bars = port_mapper_,
                                .pin = other_pin_,
                                .has_ports = true,
                                .vectors = other_vectors_.pointers(),
                                .loop = loop_,
                                .log = log_}};
};

TEST_F(NotifyPortsTest, AreAnIoBarThatTheFirstNotifyCapabilityNames) {
    write_config(kBar2, 4, 0xffff'ffff);
    EXPECT_EQ(read_config(kBar2, 4), 0xffff'fff1U) << "16 ports: 4 for each of 3 queues";
    std::vector<std::uint64_t> bars;
    for (std::uint64_t at = read_config(kPointer, 1); at != 0; at = read_config(at + 1, 1)) {
        if (read_config(at, 1) == 0x09 &&
            read_config(at + kPciCapType, 1) == static_cast<std::uint64_t>(PciCapability::Notify)) {
            bars.push_back(read_config(at + kPciCapBar, 1));
            EXPECT_EQ(read_config(at + kPciCapNotifyMultiplier, 4), kNotifyMultiplier);
            EXPECT_EQ(read_config(at + kPciCapRegionLength, 4), 3U * kNotifyMultiplier);
        }
    }
    EXPECT_EQ(bars, (std::vector<std::uint64_t>{VirtioFunction::kNotifyBar, VirtioFunction::kBar}));
}

TEST_F(NotifyPortsTest, HaveADoorbellForEachQueueWhileTheyAreDecoded) {
    write_config(kBar2, 4, kPorts);
    write_config(kCommand, 2, kDecodeAndMaster);
    EXPECT_TRUE(bells_.bells.empty()) << "Memory Space Enable is another bit";
    EXPECT_EQ(out(kPorts, 2), IoStatus::Unmapped);
    write_config(kCommand, 2, kDecodePorts);
    ASSERT_EQ(bells_.bells.size(), 3U);
    for (std::uint64_t queue = 0; queue < 3; ++queue) {
        EXPECT_EQ(bells_.bells[queue].address, Gpa(kPorts + 4 * queue));
    }
    write_config(kCommand, 2, 0);
    EXPECT_TRUE(bells_.bells.empty());
}

TEST_F(NotifyPortsTest, NotifyTheirQueueAsTheRegistersDo) {
    write_config(kBar2, 4, kPorts);
    write_config(kCommand, 2, kDecodePorts);
    EXPECT_EQ(out(kPorts + 12, 2), IoStatus::Unmapped) << "there is no queue 3";
    EXPECT_EQ(out(kPorts + 15, 1), IoStatus::Unmapped);
    EXPECT_EQ(out(kPorts + 2, 2), IoStatus::BadAlign);
    EXPECT_EQ(out(kPorts + 4, 2), IoStatus::Ok);
}

TEST_F(NotifyPortsTest, AreReachedThroughTheAccessWindowToo) {
    std::uint64_t window = read_config(kPointer, 1);
    while (window != 0 && (read_config(window, 1) != 0x09 ||
                           read_config(window + kPciCapType, 1) !=
                               static_cast<std::uint64_t>(PciCapability::PciAccess))) {
        window = read_config(window + 1, 1);
    }
    ASSERT_NE(window, 0U);
    write_config(window + kPciCapBar, 1, VirtioFunction::kNotifyBar);
    write_config(window + kPciCapRegionLength, 4, 2);
    write_config(window + kPciCapOffset, 4, 4);
    EXPECT_NE(read_config(window + kPciCapAccessData, 4) & 0xffff, 0xffffU);
    write_config(window + kPciCapOffset, 4, 16);
    EXPECT_EQ(read_config(window + kPciCapAccessData, 4), 0xffff'ffffU) << "past the ports";
}

TEST(NotifyPortsSizeTest, IsAPowerOfTwoThatAnIoBarCanHave) {
    EXPECT_EQ(NotifyPorts::size_for(1), 4U);
    EXPECT_EQ(NotifyPorts::size_for(3), 16U);
    EXPECT_EQ(NotifyPorts::size_for(64), 256U);
    EXPECT_EQ(NotifyPorts::size_for(65), 0U);
}

}  // namespace
}  // namespace cxlvm::virtio
