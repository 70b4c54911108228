// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/irq.hpp"
#include "devices/pci/function.hpp"
#include "io/mutex.hpp"

namespace cxlvm::pci {

/// Spec:       PCI Express Base Specification 6.0, 6.1.2 (INTx emulation), 7.5.1.1.3 (Interrupt
///             Disable) and 7.5.1.1.4 (Interrupt Status).
/// Implements: the level of one pin.
/// Deviates:   nothing.
///
/// The interrupt pin of one function, a member of it. A function that has MSI or MSI-X enabled
/// leaves the pin alone (6.1.4.3), which is the function's business.
class InterruptPin final : public FunctionPart {
  public:
    /// `function` has an interrupt pin in its Identity; it and `line` outlive this.
    InterruptPin(PciFunction& function, IrqLine& line);
    InterruptPin(const InterruptPin&) = delete;
    InterruptPin& operator=(const InterruptPin&) = delete;
    ~InterruptPin() = default;

    /// Whether the function has an interrupt pending, until the next call or a reset. Any thread.
    void set(bool pending) noexcept CXLVM_EXCLUDES(mutex_);

    void config_written() noexcept override CXLVM_EXCLUDES(mutex_);
    void config_reset() noexcept override CXLVM_EXCLUDES(mutex_);

  private:
    /// Drives the line as the registers say.
    void settle() noexcept CXLVM_EXCLUDES(mutex_);

    // Wiring.
    PciFunction& function_;
    IrqLine& line_;
    // Held from the reading of the registers until the line is driven, so that the last one to
    // drive it has seen the last change. Before the function's lock.
    io::Mutex mutex_;
    // State: what the line was told; the registers decide it.
    bool level_ CXLVM_GUARDED_BY(mutex_) = false;
};

}  // namespace cxlvm::pci
