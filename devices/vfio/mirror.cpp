// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/mirror.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

using Irqs = VfioDevice::Irqs;

constexpr std::uint64_t kCommand = io::to_underlying(pci::ConfigOffset::Command);

[[nodiscard]] std::vector<int> eventfds_of(std::span<MsiVector* const> vectors) {
    std::vector<int> eventfds;
    eventfds.reserve(vectors.size());
    for (MsiVector* const vector : vectors) {
        eventfds.push_back(vector->share());
    }
    return eventfds;
}

}  // namespace

Mirror::Mirror(pci::PciFunction& function, const VfioDevice& device, const ConfigPlan& plan,
               std::span<MsiVector* const> vectors, std::optional<SignalledPin> pin, io::Log& log)
    : plan_(plan),
      eventfds_(eventfds_of(vectors)),
      pin_(pin),
      function_(function),
      device_(device),
      log_(log) {
    std::uint16_t command = 0;
    if (!device_.read(device_.region(VfioDevice::kConfigRegion), kCommand,
                      std::as_writable_bytes(std::span(&command, 1)))) {
        io::throw_error(EIO, "--device: " + device_.name() + ": read the command register");
    }
    command_base_ = Register<std::uint16_t>{command}
                        .with(pci::kCommandMemory, true)
                        .with(pci::kCommandBusMaster, false)
                        .with(pci::kCommandInterruptDisable, false)
                        .raw;
    {
        // Without Memory Space Enable what is mapped of the BARs would be an end of the VM, at the
        // guest's first touch.
        const io::MutexLock lock(order_);
        if (const int error = give_command(command_base_); error != 0) {
            io::throw_error(error, "--device: " + device_.name() +
                                       ": the host's kernel does not take the command register, "
                                       "whose Memory Space Enable is needed; bind the device to "
                                       "vfio-pci anew, or reset the host");
        }
    }
    function.add_part(*this);
    settle();
}

void Mirror::settle() noexcept {
    const io::MutexLock lock(order_);
    if (stopped_) {
        return;
    }
    const Wanted now = wanted();
    apply(now.interrupts);
    if (now.command != command_) {
        apply_command(now.command);
    }
}

void Mirror::stop() noexcept {
    const io::MutexLock lock(order_);
    if (!stopped_) {
        stopped_ = true;
        apply_command(command_base_);
        apply({});
    }
}

auto Mirror::wanted() noexcept -> Wanted {
    const bool passes_up = function_.reaches_memory();
    return function_.with_config([&](const pci::ConfigSpace& config) {
        const RegisterFile& registers = config.registers();
        const Register<std::uint16_t> command{registers.get16(kCommand)};
        // In D3hot a function signals nothing (PCI Express 6.0, 5.3.1.4.1); the device stays in D0.
        const bool silent = command.get(pci::kCommandInterruptDisable) || !config.awake();
        Wanted wanted{.command =
                          Register<std::uint16_t>{command_base_}
                              .with(pci::kCommandBusMaster, config.masters_bus() && passes_up)
                              .with(pci::kCommandInterruptDisable, silent)
                              .raw};
        if (plan_.msix) {
            const Register<std::uint16_t> control{
                registers.get16(plan_.msix->offset + io::to_underlying(pci::MsixOffset::Control))};
            if (control.get(pci::kMsixEnable)) {
                wanted.interrupts = {.mode = Mode::Msix, .count = plan_.msix->vectors};
                return wanted;
            }
        }
        if (plan_.msi) {
            const Register<std::uint16_t> control{
                registers.get16(plan_.msi->offset + io::to_underlying(pci::MsiOffset::Control))};
            if (control.get(pci::kMsiEnable)) {
                // A guest may write more than was asked for; there are no more than there are.
                wanted.interrupts = {.mode = Mode::Msi,
                                     .count = std::min(1U << control.get(pci::kMsiMultipleEnable),
                                                       unsigned{plan_.msi->vectors})};
                return wanted;
            }
        }
        if (pin_) {
            wanted.interrupts = {.mode = Mode::Intx, .count = 1};
        }
        return wanted;
    });
}

// The kernel has one kind enabled at a time, so the old one goes first. What comes in between the
// device sends to nobody, as one does that is switched from one kind to another.
void Mirror::apply(Interrupts wanted) noexcept {
    if (wanted == tried_) {
        return;
    }
    tried_ = wanted;
    if (enabled_ != Mode::None) {
        constexpr std::array kIrqs = {Irqs::Intx, Irqs::Intx, Irqs::Msi, Irqs::Msix};
        static_cast<void>(device_.disable_irqs(kIrqs[io::to_underlying(enabled_)]));
        enabled_ = Mode::None;
    }
    if (wanted.mode == Mode::None) {
        return;
    }
    if (const int error = enable(wanted); error != 0) {
        constexpr std::array kNames = {"", "INTx", "MSI", "MSI-X"};
        // The kernel shares a line only for devices whose Interrupt Disable works.
        const char* const remedy =
            wanted.mode == Mode::Intx && error == EBUSY
                ? "; its line is shared with another device of the host (/proc/interrupts), and it "
                  "cannot disable its own interrupt: unbind the driver of the other device, or let "
                  "the guest use MSI"
                : "";
        log_.guest(refusals_, "{}: no interrupts: the host's kernel does not enable {} of {}: {}{}",
                   function_.name(), wanted.count, kNames[io::to_underlying(wanted.mode)],
                   io::errno_text(error), remedy);
        return;
    }
    enabled_ = wanted.mode;
}

int Mirror::enable(Interrupts wanted) noexcept {
    switch (wanted.mode) {
        case Mode::None:
            break;
        case Mode::Intx: {
            const std::array trigger = {pin_->trigger};
            if (const int error = device_.enable_irqs(Irqs::Intx, trigger); error != 0) {
                return error;
            }
            const int error = device_.unmask_intx_by(pin_->resample);
            if (error != 0) {
                static_cast<void>(device_.disable_irqs(Irqs::Intx));
            }
            return error;
        }
        case Mode::Msi:
            return enable_messages(Irqs::Msi, wanted.count);
        case Mode::Msix:
            return enable_messages(Irqs::Msix, wanted.count);
    }
    return 0;
}

int Mirror::enable_messages(Irqs which, unsigned count) noexcept {
    const std::size_t most = std::min<std::size_t>(eventfds_.size(), device_.irqs(which).count);
    const auto asked = std::span(eventfds_).first(std::min<std::size_t>(count, most));
    unsigned fitting = 0;
    const int error = device_.enable_irqs(which, asked, &fitting);
    if (error != ENOSPC || fitting == 0 || fitting >= asked.size()) {
        return error;
    }
    // The others stay silent: better a device that uses few than none.
    log_.guest(refusals_, "{}: the host has {} vectors for it, not {}", function_.name(), fitting,
               asked.size());
    return device_.enable_irqs(which,
                               asked.first(which == Irqs::Msi ? std::bit_floor(fitting) : fitting));
}

int Mirror::give_command(std::uint16_t command) noexcept {
    const int error = device_.write(device_.region(VfioDevice::kConfigRegion), kCommand,
                                    std::as_bytes(std::span(&command, 1)));
    if (error == 0) {
        command_ = command;
    }
    return error;
}

void Mirror::apply_command(std::uint16_t command) noexcept {
    if (const int error = give_command(command); error != 0) {
        log_.guest(refusals_,
                   "{}: the host's kernel does not take {:#x} for the command register: {}; the "
                   "device may have gone: see the host's log, and restart the machine",
                   function_.name(), command, io::errno_text(error));
    }
}

}  // namespace cxlvm::vfio
