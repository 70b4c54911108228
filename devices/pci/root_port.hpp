// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "devices/msi.hpp"
#include "devices/pci/bus.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/msi.hpp"
#include "devices/pci/spec.hpp"
#include "io/mutex.hpp"
#include "memory/address.hpp"

namespace cxlvm::pci {

/// Red Hat's id for a generic root port, driven by its class.
inline constexpr Identity kRootPortIdentity{
    .vendor_id = 0x1b36, .device_id = 0x000c, .class_code = kClassPciBridge, .interrupt_pin = 1};

/// Spec:       PCI Express Base Specification 6.0, 7.5.1.3 (type 1 header), 7.3.3 (configuration
///             requests through a bridge), 7.5.3 (PCI Express capability), 6.6.1 (resets), 6.1.4
///             (MSI).
/// Implements: bus numbers, memory windows, Memory Space Enable and Bus Master Enable for what is
///             behind it, secondary bus reset, link disable, and a slot without hot-plug. D0 and
///             D3hot. MSI with one vector and INTA#, for which there is no cause as yet: no
///             hot-plug, no error reporting, no power management events.
/// Deviates:   there is no I/O window. Of what functions below send, messages alone are held back.
///
/// A port with one device behind it. The link is up while there is one, and neither a secondary bus
/// reset nor Link Disable holds it; while it is down, nothing below is reached, and going down
/// resets what is there. While the port is in D3hot nothing below is reached either (5.3.2).
class RootPort final : public PciFunction {
  public:
    /// `number` is the port's and its slot's, 1 to 255, unique in the machine. `vector` outlives
    /// this.
    RootPort(std::uint8_t number, MsiVector& vector);

    [[nodiscard]] RootPort* root_port() noexcept override { return this; }

    /// Puts `function` behind the port: a function of device 0, the only device that a link leads
    /// to (7.3.1). At set-up; it outlives the port.
    void attach(PciFunction& function, std::uint8_t function_number = 0);

    /// For routing; no locks. Whether requests for bus `number` go to or through the secondary bus.
    [[nodiscard]] bool forwards(std::uint8_t number) const noexcept;
    /// Its number; 0 while there is none.
    [[nodiscard]] std::uint8_t secondary_number() const noexcept;
    [[nodiscard]] const PciBus& secondary() const noexcept { return secondary_; }

    /// Whether memory requests for `range` go through to the secondary bus: the whole of it lies in
    /// one of the windows, and the ports above pass it on. Any thread.
    [[nodiscard]] bool passes_down(GpaRange range) noexcept;
    /// Whether requests from the secondary bus go through to memory. Any thread.
    [[nodiscard]] bool passes_up() noexcept;
    void upstream_changed() noexcept override;

    /// Resets what is behind the port too.
    void reset() noexcept override CXLVM_EXCLUDES(order_);

  private:
    /// What routing needs, in one word so that it is read in one piece.
    struct alignas(4) Route {
        std::uint8_t secondary = 0;
        std::uint8_t subordinate = 0;
        bool open = false;  ///< the link is up and the port awake
    };
    /// What decides about requests that go through.
    struct Passage {
        std::optional<GpaRange> memory{};        ///< the window, unless it is closed
        std::optional<GpaRange> prefetchable{};  ///< likewise
        bool down = false;                       ///< memory requests
        bool up = false;

        friend bool operator==(const Passage&, const Passage&) noexcept = default;
    };
    enum class Cause : std::uint8_t { Write, Reset };

    void config_written(std::uint64_t offset, std::size_t size) noexcept override
        CXLVM_EXCLUDES(order_);
    [[nodiscard]] Passage passage() noexcept;
    /// Brings link, slot and route in line with the registers, tells what is behind the port of
    /// changes, and resets what lost its link.
    void settle(Cause cause) noexcept CXLVM_EXCLUDES(order_);

    // Configuration.
    const std::uint16_t express_;  ///< offset of the PCI Express capability
    // Wiring.
    Msi msi_;
    PciBus secondary_{*this};

    // Held from the reading of the registers until they are acted upon, so that the last one to do
    // so has seen the last write. Before the locks of the functions below and of their parts, which
    // read this port's registers and call up no further.
    io::Mutex order_;
    // State: what the registers say.
    bool held_ CXLVM_GUARDED_BY(order_) = false;  ///< the link is kept down
    Passage told_ CXLVM_GUARDED_BY(order_);       ///< what those behind the port know of
    std::atomic<Route> route_{Route{}};
    static_assert(std::atomic<Route>::is_always_lock_free);
};

}  // namespace cxlvm::pci
