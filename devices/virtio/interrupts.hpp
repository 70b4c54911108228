// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cxlvm::virtio {

/// What a transport needs of the PCI function that it lives in. Any thread; never blocks for long,
/// throws or allocates, and does not call the transport back.
class TransportInterrupts {
  public:
    /// Entries of the function's MSI-X table; never changes. 0 without MSI-X.
    [[nodiscard]] virtual std::uint16_t vectors() const noexcept = 0;
    /// Whether the driver has enabled MSI-X.
    [[nodiscard]] virtual bool msix_enabled() const noexcept = 0;
    /// Sends the message of one MSI-X vector, below vectors(), or marks it pending while masked.
    virtual void raise(std::uint16_t vector) noexcept = 0;
    /// The interrupt status, which INTx follows while MSI-X is not enabled (4.1.4.5.1). One call at
    /// a time; only changes are told, from false on.
    virtual void set_intx(bool level) noexcept = 0;
    /// See MsiVector::share(); `vector` is below vectors().
    [[nodiscard]] virtual int share(std::uint16_t /*vector*/) noexcept { return -1; }
    /// See DeviceHost.
    [[nodiscard]] virtual int hand_over_kicks(std::uint16_t /*queue*/) noexcept { return -1; }
    virtual void take_back_kicks(std::uint16_t /*queue*/) noexcept {}
    /// A reset has come to its end: Transport::resetting() is false, unless another has begun.
    virtual void reset_ended() noexcept {}

  protected:
    TransportInterrupts() = default;
    TransportInterrupts(const TransportInterrupts&) = default;
    TransportInterrupts& operator=(const TransportInterrupts&) = default;
    ~TransportInterrupts() = default;
};

}  // namespace cxlvm::virtio
