// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "devices/acpi/power.hpp"
#include "devices/legacy/i8042.hpp"
#include "devices/legacy/pvpanic.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"
#include "vmm/acpi/acpi.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/machine/vcpu_setup.hpp"

namespace cxlvm::test {

/// A serial port that is always ready: keeps the output, serves a fixed input.
class PolledSerial final : public IoHandler {
  public:
    explicit PolledSerial(std::string input) : input_(std::move(input)) {}

    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        const std::lock_guard lock(mutex_);
        std::uint8_t value = 0;
        if (offset == 5) {
            value = static_cast<std::uint8_t>(0x60 | (taken_ < input_.size() ? 1 : 0));
        } else if (offset == 0 && taken_ < input_.size()) {
            value = static_cast<std::uint8_t>(input_[taken_++]);
        }
        data[0] = std::byte{value};
        return IoStatus::Ok;
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        const std::lock_guard lock(mutex_);
        if (offset == 0) {
            output_.push_back(std::to_integer<char>(data[0]));
        }
        return IoStatus::Ok;
    }
    [[nodiscard]] std::string output() {
        const std::lock_guard lock(mutex_);
        return output_;
    }

  private:
    std::mutex mutex_;
    std::string input_;
    std::size_t taken_ = 0;
    std::string output_;
};

/// Configuration space of a few functions, by both ways. Bytes that were not set read as zero.
class FakePci {
  public:
    void add(unsigned bus, unsigned device, std::map<std::uint64_t, std::uint32_t> words) {
        functions_[bus << 20 | device << 15] = std::move(words);
    }
    [[nodiscard]] std::uint32_t word(std::uint64_t address) const {
        const auto found = functions_.find(address & ~std::uint64_t{0xfff});
        if (found == functions_.end()) {
            return 0xffff'ffff;
        }
        const auto value = found->second.find(address & 0xffc);
        return value == found->second.end() ? 0 : value->second;
    }

    class Ecam final : public IoHandler {
      public:
        explicit Ecam(FakePci& pci) : pci_(pci) {}
        IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
            const std::uint32_t value = pci_.word(offset) ^ pci_.ecam_flaw;
            std::memcpy(data.data(), &value, std::min(data.size(), sizeof(value)));
            return IoStatus::Ok;
        }
        IoStatus write(std::uint64_t, std::span<const std::byte>) noexcept override {
            return IoStatus::Ok;
        }

      private:
        FakePci& pci_;
    };
    class Ports final : public IoHandler {
      public:
        explicit Ports(FakePci& pci) : pci_(pci) {}
        IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
            const std::uint64_t address =
                std::uint64_t{address_ & 0xffff00} << 4 | (address_ & 0xfc);
            const std::uint32_t value = offset == 4 ? pci_.word(address) : address_;
            std::memcpy(data.data(), &value, std::min(data.size(), sizeof(value)));
            return IoStatus::Ok;
        }
        IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
            if (offset == 0 && data.size() == sizeof(address_)) {
                std::memcpy(&address_, data.data(), sizeof(address_));
            }
            return IoStatus::Ok;
        }

      private:
        FakePci& pci_;
        std::uint32_t address_ = 0;
    };

    Ecam ecam{*this};
    Ports ports{*this};
    std::uint32_t ecam_flaw = 0;  ///< bits that ECAM reads get wrong

  private:
    std::map<std::uint64_t, std::map<std::uint64_t, std::uint32_t>> functions_;
};

/// Keeps the first event.
class FirstEvent final : public SystemEventSink {
  public:
    void raise(SystemEvent event) noexcept override {
        const std::lock_guard lock(mutex_);
        event_ = event_ ? event_ : event;
    }
    [[nodiscard]] std::optional<SystemEvent> event() {
        const std::lock_guard lock(mutex_);
        return event_;
    }

  private:
    std::mutex mutex_;
    std::optional<SystemEvent> event_;
};

class NoIrq final : public IrqLine {
  public:
    void set(bool) noexcept override {}
    void pulse() noexcept override {}
};

/// One vCPU, 64 MiB, and the devices that the built-in guest speaks to.
class GuestMachine {
  public:
    explicit GuestMachine(const std::string& cmdline, std::string input = {})
        : serial(std::move(input)),
          kvm("/dev/kvm"),
          vm(kvm),
          ram({.size = 64 << 20, .numa_node = {}}),
          memory(16),
          ports(16),
          low_ram("low ram", {.host = ram.blocks()[0].host, .ram = true}),
          slots(kvm, vm) {
        vm.create_irqchip();
        memory.add_listener(slots);
        EXPECT_FALSE(memory.map(low_ram, 0));
        EXPECT_FALSE(memory.map(ecam_region, layout::kEcam.value()));
        EXPECT_FALSE(ports.map(serial_region, layout::kSerialPort));
        EXPECT_FALSE(ports.map(power_region, layout::kAcpiPort));
        EXPECT_FALSE(ports.map(panic_region, layout::kPvpanicPort));
        EXPECT_FALSE(ports.map(keyboard_region, layout::kI8042Data));
        EXPECT_FALSE(ports.map(pci_region, layout::kPciConfigPort));
        const Gpa rsdp = acpi::install(
            {.apic_ids = {0},
             .host_bridges = {{.mmio32 = *GpaRange::of(layout::kMmio32, layout::kMmio32Size),
                               .mmio64 = *GpaRange::of(Gpa(0x40'0000'0000), 0x10'0000'0000)}}},
            ram);
        const boot::LoadedGuest guest = boot::load(boot_config(cmdline), ram, rsdp, log);
        vcpus.emplace(kApicIds, VcpuWiring{.kvm = kvm,
                                           .vm = vm,
                                           .memory = memory,
                                           .ports = ports,
                                           .owner = ending,
                                           .log = log});
        set_up_vcpus(kvm, *vcpus, {}, supported_cpuid(kvm), guest.entry, log);
    }
    GuestMachine(const GuestMachine&) = delete;
    GuestMachine& operator=(const GuestMachine&) = delete;
    ~GuestMachine() {
        vcpus.reset();
        memory.remove_listener(slots);
    }

    /// Runs until the guest has raised an event, has ended otherwise, or has printed `text`.
    void run_until(const std::string& text = {}) {
        vcpus->start();
        EXPECT_TRUE(eventually([&] {
            return events.event() || ending.reason() ||
                   (!text.empty() && serial.output().find(text) != std::string::npos);
        }));
        vcpus->stop();
        vcpus->join();
    }

    io::Log log{2, io::LogLevel::Off};
    Ending ending;
    FirstEvent events;
    NoIrq no_irq;
    PolledSerial serial;
    acpi::Power power{events, no_irq, log};
    Pvpanic panic{events, log};
    I8042 keyboard{events, log};
    FakePci pci;
    Kvm kvm;
    KvmVm vm;
    GuestMemory ram;
    AddressSpace memory;
    AddressSpace ports;
    Region serial_region{"serial", 8, serial};
    Region power_region{"power", acpi::kPowerPorts, power};
    Region panic_region{"pvpanic", 1, panic};
    Region keyboard_region{"i8042", 5, keyboard};
    Region pci_region{"pci ports", 8, pci.ports};
    Region ecam_region{"ecam", layout::kEcamSize, pci.ecam};
    Region low_ram;
    MemorySlots slots;
    std::optional<VcpuGroup> vcpus;

  private:
    static constexpr std::array<std::uint32_t, 1> kApicIds{0};

    static BootConfig boot_config(const std::string& cmdline) {
        BootConfig config;
        config.cmdline = cmdline;
        return config;
    }
};

}  // namespace cxlvm::test
