// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/msi.hpp"
#include "devices/pci/function.hpp"
#include "devices/vfio/config_plan.hpp"
#include "devices/vfio/signals.hpp"
#include "devices/vfio/vfio_device.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"

namespace cxlvm::vfio {

/// Keeps the host's side of a function in line with what the guest has in its registers: which of
/// INTx, MSI and MSI-X is enabled, Bus Master Enable and Interrupt Disable.
///
/// Memory Space Enable is on for the host whatever the guest says, so that mappings stay when a
/// guest sizes a BAR: the kernel takes them away otherwise, and a vCPU that touched one would fault
/// in the VMM. What the guest may reach is BarMapper's to decide.
///
/// Interrupts go from the kernel to the guest by eventfds; none is seen here. A member of the
/// function, declared behind its Msi and Msix, so that routes are there before signals come.
class Mirror final : public pci::FunctionPart {
  public:
    /// All outlive this. The vectors can be shared. `pin`: nothing for a device without INTx.
    /// Throws io::Error when the device's command register cannot be read or written.
    Mirror(pci::PciFunction& function, const VfioDevice& device, const ConfigPlan& plan,
           std::span<MsiVector* const> vectors, std::optional<SignalledPin> pin, io::Log& log);
    Mirror(const Mirror&) = delete;
    Mirror& operator=(const Mirror&) = delete;
    ~Mirror() { stop(); }

    void config_written() noexcept override CXLVM_EXCLUDES(order_) { settle(); }
    void config_reset() noexcept override CXLVM_EXCLUDES(order_) { settle(); }
    /// For good: no interrupts, no DMA. Any thread.
    void stop() noexcept CXLVM_EXCLUDES(order_);

  private:
    enum class Mode : std::uint8_t { None, Intx, Msi, Msix };
    struct Interrupts {
        Mode mode = Mode::None;
        unsigned count = 0;
        friend constexpr bool operator==(Interrupts, Interrupts) noexcept = default;
    };
    struct Wanted {
        Interrupts interrupts{};
        std::uint16_t command = 0;
    };

    void settle() noexcept CXLVM_EXCLUDES(order_);
    [[nodiscard]] Wanted wanted() noexcept;
    void apply(Interrupts wanted) noexcept CXLVM_REQUIRES(order_);
    [[nodiscard]] int enable(Interrupts wanted) noexcept;
    [[nodiscard]] int enable_messages(VfioDevice::Irqs which, unsigned count) noexcept;
    /// Gives the device `command`. Returns an errno value.
    [[nodiscard]] int give_command(std::uint16_t command) noexcept CXLVM_REQUIRES(order_);
    void apply_command(std::uint16_t command) noexcept CXLVM_REQUIRES(order_);

    // Configuration.
    const ConfigPlan& plan_;
    std::vector<int> eventfds_;  ///< of the vectors
    const std::optional<SignalledPin> pin_;
    std::uint16_t command_base_ = 0;  ///< bits that are the host's
    // Wiring.
    pci::PciFunction& function_;
    const VfioDevice& device_;
    io::Log& log_;
    // Accounting.
    io::RateLimit refusals_;
    // Held from the reading of the registers until the kernel has been told, so that the last one
    // to tell it has seen the last write. Before the locks of the function and of ports above.
    io::Mutex order_;
    // State: what the kernel was told; the registers decide it.
    Interrupts tried_ CXLVM_GUARDED_BY(order_){};  ///< wanted last, perhaps refused
    Mode enabled_ CXLVM_GUARDED_BY(order_) = Mode::None;
    std::uint16_t command_ CXLVM_GUARDED_BY(order_) = 0;
    bool stopped_ CXLVM_GUARDED_BY(order_) = false;
};

}  // namespace cxlvm::vfio
