// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "devices/msi.hpp"
#include "devices/vfio/signals.hpp"
#include "io/eventfd.hpp"
#include "io/log.hpp"
#include "vmm/kvm/irq_chip.hpp"

namespace cxlvm {

/// A vector of a passed device: the host's kernel signals its eventfd, and KVM sends the message in
/// the context of the signal.
///
/// Without a route KVM would take signals and drop them. So the eventfd is KVM's only while there
/// is one: what comes in between stays in it, and KVM sends it when it gets the eventfd back.
class PassedMsiIrqfd final : public MsiVector {
  public:
    /// `name` is for messages and outlives this. Throws io::Error.
    PassedMsiIrqfd(const char* name, IrqChip& chip, io::Log& log);
    PassedMsiIrqfd(const PassedMsiIrqfd&) = delete;
    PassedMsiIrqfd& operator=(const PassedMsiIrqfd&) = delete;
    ~PassedMsiIrqfd();

    /// A message that is none (see GsiRoutes::set) leaves the vector without a route, and a line in
    /// the log.
    void route(const std::optional<MsiMessage>& message) noexcept override;
    void fire() noexcept override { event_.signal(); }
    [[nodiscard]] int share() noexcept override { return event_.fd(); }
    void forget_signals() noexcept override { static_cast<void>(event_.drain()); }

  private:
    void connect() noexcept;
    void disconnect() noexcept;

    const char* const name_;
    IrqChip& chip_;
    io::Log& log_;
    io::RateLimit refused_limit_;
    io::EventFd event_;
    const std::uint32_t gsi_;
    bool connected_ = false;  ///< calls of route() are serialised
};

/// The wire of a passed device's INTx to a pin of the I/O APIC: KVM raises it for a signal of the
/// host's kernel, and lowers it and signals back when the guest has served the interrupt. It adds
/// to what IrqPin does to the same pin.
class PassedPinIrqfd {
  public:
    /// `gsi` below layout::kIoApicPins. Throws io::Error.
    PassedPinIrqfd(const char* name, const IrqChip& chip, std::uint32_t gsi);
    PassedPinIrqfd(const PassedPinIrqfd&) = delete;
    PassedPinIrqfd& operator=(const PassedPinIrqfd&) = delete;
    ~PassedPinIrqfd();

    [[nodiscard]] vfio::SignalledPin signals() const noexcept {
        return {.trigger = trigger_.fd(), .resample = resample_.fd()};
    }

  private:
    const IrqChip& chip_;
    io::EventFd trigger_;
    io::EventFd resample_;
    const std::uint32_t gsi_;
};

}  // namespace cxlvm
