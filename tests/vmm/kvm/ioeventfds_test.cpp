// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/ioeventfds.hpp"

#include <gtest/gtest.h>

#include <array>

#include "io/eventfd.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm {
namespace {

using test::Access;
using test::kTestMmio;

class IoEventFdsTest : public test::KvmTest {};

/// Writes 1 and 2 bytes to offset 0x10 of the device, and one to 0x14; then says that it is done.
constexpr std::array<std::uint8_t, 17> kWriter = {0xb8, 0x00, 0xd0,
                                                  0x8e, 0xd8,         // mov ax, d000; mov ds, ax
                                                  0xa2, 0x10, 0x00,   // mov [10], al
                                                  0xa3, 0x10, 0x00,   // mov [10], ax
                                                  0xa2, 0x14, 0x00,   // mov [14], al
                                                  0xe6, 0x80, 0xf4};  // out 0x80, al; hlt

TEST_F(IoEventFdsTest, AWriteToADoorbellSignalsAndReachesNoHandler) {
    test::MiniMachine machine(std::span<const std::uint8_t>{kWriter});
    const io::EventFd event("test doorbell");
    const std::array<Doorbell, 1> doorbells{Doorbell{0x10, event.fd()}};
    Region region("doorbells", 0x1000, machine.mmio_device, doorbells);
    IoEventFds host(machine.vm, IoEventFds::Space::Memory);
    machine.memory.unmap(machine.mmio_region);
    machine.memory.connect_doorbells(host);
    ASSERT_FALSE(machine.memory.map(region, kTestMmio));
    machine.run_to_port_access(1);
    EXPECT_EQ(event.drain(), 2U);
    EXPECT_EQ(machine.mmio_device.accesses(), (std::vector{Access{true, 0x14, {0x00}}}));
    machine.memory.unmap(region);
    machine.memory.disconnect_doorbells();
}

TEST_F(IoEventFdsTest, ADisconnectedDoorbellIsTheHandlersAgain) {
    test::MiniMachine machine(std::span<const std::uint8_t>{kWriter});
    const io::EventFd event("test doorbell");
    const std::array<Doorbell, 1> doorbells{Doorbell{0x10, event.fd()}};
    Region region("doorbells", 0x1000, machine.mmio_device, doorbells);
    IoEventFds host(machine.vm, IoEventFds::Space::Memory);
    machine.memory.unmap(machine.mmio_region);
    machine.memory.connect_doorbells(host);
    ASSERT_FALSE(machine.memory.map(region, kTestMmio));
    machine.memory.disconnect_doorbells();
    machine.run_to_port_access(1);
    EXPECT_EQ(event.drain(), 0U);
    EXPECT_EQ(machine.mmio_device.accesses(),
              (std::vector{Access{true, 0x10, {0x00}}, Access{true, 0x10, {0x00, 0xd0}},
                           Access{true, 0x14, {0x00}}}));
    machine.memory.unmap(region);
}

TEST_F(IoEventFdsTest, WhatCannotBeConnectedIsReported) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    IoEventFds host(vm, IoEventFds::Space::Memory);
    EXPECT_EQ(host.connect(Gpa(0x1000), -1), std::errc::bad_file_descriptor);
    host.disconnect(Gpa(0x1000), -1);
    const io::EventFd event("test doorbell");
    EXPECT_FALSE(host.connect(Gpa(0x1000), event.fd()));
    EXPECT_EQ(host.connect(Gpa(0x1000), event.fd()), std::errc::file_exists);
    host.disconnect(Gpa(0x1000), event.fd());
    EXPECT_FALSE(host.connect(Gpa(0x1000), event.fd()));
}

TEST_F(IoEventFdsTest, PortsAndMemoryAreTwoSpaces) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    IoEventFds memory(vm, IoEventFds::Space::Memory);
    IoEventFds ports(vm, IoEventFds::Space::Ports);
    const io::EventFd event("test doorbell");
    EXPECT_FALSE(memory.connect(Gpa(0x1000), event.fd()));
    EXPECT_FALSE(ports.connect(Gpa(0x1000), event.fd()));
    EXPECT_EQ(ports.connect(Gpa(0x1000), event.fd()), std::errc::file_exists);
    ports.disconnect(Gpa(0x1000), event.fd());
    EXPECT_FALSE(ports.connect(Gpa(0x1000), event.fd()));
    EXPECT_EQ(memory.connect(Gpa(0x1000), event.fd()), std::errc::file_exists);
}

}  // namespace
}  // namespace cxlvm
