// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "devices/pci/bus.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/spec.hpp"
#include "io/mutex.hpp"

namespace cxlvm::pci {

/// Red Hat's id for a generic root port, driven by its class.
inline constexpr Identity kRootPortIdentity{
    .vendor_id = 0x1b36, .device_id = 0x000c, .class_code = kClassPciBridge};

/// Spec:       PCI Express Base Specification 6.0, 7.5.1.3 (type 1 header), 7.3.3 (configuration
///             requests through a bridge), 7.5.3 (PCI Express capability), 6.6.1 (resets).
/// Implements: bus numbers, memory windows, secondary bus reset, link disable, and a slot without
///             hot-plug. D0 and D3hot.
/// Deviates:   windows are kept but do not restrain the functions below; there is no I/O window.
/// The
///             port raises no interrupts, so it has no MSI.
///
/// A port with one device behind it. The link is up while there is one, and neither a secondary bus
/// reset nor Link Disable holds it; while it is down, nothing below is reached, and going down
/// resets what is there. While the port is in D3hot nothing below is reached either (5.3.2).
class RootPort final : public PciFunction {
  public:
    /// `number` is the port's and its slot's, 1 to 255, unique in the machine.
    explicit RootPort(std::uint8_t number);

    [[nodiscard]] RootPort* root_port() noexcept override { return this; }

    /// Puts `function` behind the port: a function of device 0, the only device that a link leads
    /// to (7.3.1). At set-up; it outlives the port.
    void attach(PciFunction& function, std::uint8_t function_number = 0);

    /// For routing; no locks. Whether requests for bus `number` go to or through the secondary bus.
    [[nodiscard]] bool forwards(std::uint8_t number) const noexcept;
    /// Its number; 0 while there is none.
    [[nodiscard]] std::uint8_t secondary_number() const noexcept;
    [[nodiscard]] const PciBus& secondary() const noexcept { return secondary_; }

    /// Resets what is behind the port too.
    void reset() noexcept override CXLVM_EXCLUDES(order_);

  private:
    /// What routing needs, in one word so that it is read in one piece.
    struct alignas(4) Route {
        std::uint8_t secondary = 0;
        std::uint8_t subordinate = 0;
        bool open = false;  ///< the link is up and the port awake
    };
    enum class Cause : std::uint8_t { Write, Reset };

    void config_written(std::uint64_t offset, std::size_t size) noexcept override
        CXLVM_EXCLUDES(order_);
    /// Brings link, slot and route in line with the registers, and resets what lost its link.
    void settle(Cause cause) noexcept CXLVM_EXCLUDES(order_);

    // Configuration.
    const std::uint16_t express_;  ///< offset of the PCI Express capability
    // Wiring.
    PciBus secondary_{*this};

    // Held from the reading of the registers until they are acted upon, so that the last one to do
    // so has seen the last write. Before the locks of the functions below, which do not call up.
    io::Mutex order_;
    // State: what the registers say.
    bool held_ CXLVM_GUARDED_BY(order_) = false;  ///< the link is kept down
    std::atomic<Route> route_{Route{}};
    static_assert(std::atomic<Route>::is_always_lock_free);
};

}  // namespace cxlvm::pci
