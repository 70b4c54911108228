// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "io/log.hpp"
#include "memory/address_space.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/kvm.hpp"
#include "vmm/kvm/memory_slots.hpp"
#include "vmm/layout.hpp"
#include "vmm/vcpu/vcpu_group.hpp"

// What the tests of the KVM parts share: a machine of a few objects, guests of a few bytes.

namespace cxlvm::test {

/// Why tests that need KVM cannot run here; nothing when they can.
inline std::optional<std::string> kvm_missing() {
    if (::access("/dev/kvm", R_OK | W_OK) == 0) {
        return std::nullopt;
    }
    return std::string("no usable /dev/kvm: ") + std::strerror(errno);
}

/// Base of the tests that need /dev/kvm.
class KvmTest : public testing::Test {
  protected:
    void SetUp() override {
        if (const auto why = kvm_missing()) {
            GTEST_SKIP() << *why;
        }
    }
};

/// Waits, with a limit that only a broken program reaches.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// One access that a device saw.
struct Access {
    bool write;
    std::uint64_t offset;
    std::vector<std::uint8_t> data;
    friend bool operator==(const Access&, const Access&) = default;
};

/// A device that keeps what it is told and answers reads with 0xa0, 0xa1, ...
class Recorder final : public IoHandler {
  public:
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        std::uint8_t next = 0xa0;
        for (std::byte& byte : data) {
            byte = std::byte{next++};
        }
        keep(false, offset, data);
        return IoStatus::Ok;
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        keep(true, offset, data);
        return IoStatus::Ok;
    }
    [[nodiscard]] std::vector<Access> accesses() {
        const std::lock_guard lock(mutex_);
        return accesses_;
    }
    [[nodiscard]] std::size_t count() { return accesses().size(); }

  private:
    void keep(bool write, std::uint64_t offset, std::span<const std::byte> data) {
        const std::lock_guard lock(mutex_);
        std::vector<std::uint8_t> copy;
        for (const std::byte byte : data) {
            copy.push_back(std::to_integer<std::uint8_t>(byte));
        }
        accesses_.push_back({write, offset, std::move(copy)});
    }

    std::mutex mutex_;
    std::vector<Access> accesses_;
};

/// Keeps the first end of a vCPU.
class Ending final : public VcpuOwner {
  public:
    void vcpu_ended(ExitReason reason, std::string_view message) noexcept override {
        const std::lock_guard lock(mutex_);
        if (!reason_) {
            reason_ = reason;
            message_ = message;
        }
    }
    [[nodiscard]] std::optional<ExitReason> reason() {
        const std::lock_guard lock(mutex_);
        return reason_;
    }
    [[nodiscard]] std::string message() {
        const std::lock_guard lock(mutex_);
        return message_;
    }

  private:
    std::mutex mutex_;
    std::optional<ExitReason> reason_;
    std::string message_;
};

inline constexpr std::uint64_t kCode = 0x1000;  ///< where mini guests begin
inline constexpr std::uint16_t kTestPort = 0x80;
inline constexpr std::uint64_t kTestMmio = 0xd0000;  ///< reachable from real mode

inline constexpr std::uint64_t kGdt = 0x500;
inline constexpr std::uint64_t kIdt = 0x2000;
inline constexpr std::uint16_t kIdtLimit = 256 * 8 - 1;

/// A 32-bit segment of 4 GiB.
inline kvm_segment flat_segment(std::uint16_t selector, std::uint8_t type) {
    kvm_segment segment{};
    segment.limit = 0xffff'ffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.db = 1;
    segment.s = 1;
    segment.g = 1;
    return segment;
}

/// Memory, ports, interrupt chip and vCPUs; code starts in 16-bit real mode at kCode.
class MiniMachine {
  public:
    explicit MiniMachine(std::span<const std::uint8_t> code, unsigned cpus = 1)
        : kvm("/dev/kvm"),
          vm(kvm),
          ram({.size = 2 << 20, .numa_node = {}}),
          memory(16),
          ports(16),
          port_region("test port", 8, port_device),
          mmio_region("test mmio", 0x1000, mmio_device),
          low_ram("low ram", {.host = ram.blocks()[0].host.first(kTestMmio), .ram = true}),
          slots(kvm, vm),
          chip(kvm, vm) {
        memory.add_listener(slots);
        EXPECT_FALSE(memory.map(low_ram, 0));
        EXPECT_FALSE(memory.map(mmio_region, kTestMmio));
        EXPECT_FALSE(ports.map(port_region, kTestPort));
        EXPECT_TRUE(ram.write(Gpa(kCode), std::as_bytes(code)));
        std::vector<std::uint32_t> ids(cpus);
        std::iota(ids.begin(), ids.end(), 0u);
        vcpus.emplace(ids, VcpuWiring{.kvm = kvm,
                                      .vm = vm,
                                      .memory = memory,
                                      .ports = ports,
                                      .owner = ending,
                                      .log = log});
        for (unsigned i = 0; i < cpus; ++i) {
            const KvmVcpu& vcpu = (*vcpus)[i].kvm();
            kvm_sregs sregs = vcpu.sregs();
            sregs.cs.base = 0;
            sregs.cs.selector = 0;
            vcpu.set_sregs(sregs);
            kvm_regs regs{};
            regs.rip = kCode;
            regs.rsp = 0x8000;
            regs.rflags = 2;
            regs.rbx = i;
            vcpu.set_regs(regs);
            vcpu.set_mp_state(KVM_MP_STATE_RUNNABLE);
        }
    }
    MiniMachine(std::initializer_list<std::uint8_t> code, unsigned cpus = 1)
        : MiniMachine(std::span<const std::uint8_t>(code.begin(), code.size()), cpus) {}
    MiniMachine(const MiniMachine&) = delete;
    MiniMachine& operator=(const MiniMachine&) = delete;
    ~MiniMachine() {
        vcpus.reset();
        memory.remove_listener(slots);
    }

    /// Lets a vCPU begin in 32-bit mode without paging, its descriptor table for interrupts at
    /// kIdt.
    void enter_protected_mode(unsigned index, std::uint16_t idt_limit) {
        const std::array<std::uint64_t, 3> gdt = {0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff};
        EXPECT_TRUE(ram.store(Gpa(kGdt), gdt));
        const KvmVcpu& vcpu = (*vcpus)[index].kvm();
        kvm_sregs sregs = vcpu.sregs();
        sregs.cs = flat_segment(8, 11);
        sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(16, 3);
        sregs.gdt.base = kGdt;
        sregs.gdt.limit = sizeof(gdt) - 1;
        sregs.idt.base = kIdt;
        sregs.idt.limit = idt_limit;
        sregs.cr0 |= 1;
        vcpu.set_sregs(sregs);
    }

    /// Starts, waits for the first vCPU that ends, then ends the rest.
    void run_to_end() {
        vcpus->start();
        EXPECT_TRUE(eventually([&] { return ending.reason().has_value(); }));
        vcpus->stop();
        vcpus->join();
    }
    /// Starts, waits for `count` port accesses, then ends.
    void run_to_port_access(std::size_t count) {
        vcpus->start();
        EXPECT_TRUE(eventually([&] { return port_device.count() >= count; }));
        vcpus->stop();
        vcpus->join();
    }

    io::Log log{2, io::LogLevel::Off};
    Ending ending;
    Recorder port_device;
    Recorder mmio_device;
    Kvm kvm;
    KvmVm vm;
    GuestMemory ram;
    AddressSpace memory;
    AddressSpace ports;
    Region port_region;
    Region mmio_region;
    Region low_ram;
    MemorySlots slots;
    IrqChip chip;
    std::optional<VcpuGroup> vcpus;
};

}  // namespace cxlvm::test
