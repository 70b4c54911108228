// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/pci/bar.hpp"
#include "devices/pci/bar_mapper.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/msi.hpp"
#include "devices/pci/msix.hpp"
#include "devices/pci/spec_bridge.hpp"
#include "devices/vfio/mirror.hpp"
#include "devices/vfio/passed_device.hpp"
#include "devices/vfio/region_window.hpp"
#include "devices/vfio/reset_queue.hpp"
#include "devices/vfio/shared_vector.hpp"
#include "devices/vfio/signals.hpp"
#include "io/log.hpp"
#include "io/mapping.hpp"
#include "memory/address_space.hpp"

namespace cxlvm::vfio {

/// What a passed function is wired to; everything outlives it.
struct FunctionWiring {
    pci::BarMapper& bars;
    /// What the PCI Express capability has to say of where it is.
    pci::PortType type = pci::PortType::Integrated;
    std::span<MsiVector* const> vectors;  ///< PassedDevice::vectors() many, which can be shared
    std::optional<SignalledPin> pin;      ///< where PassedDevice::has_pin()
    io::Log& log;
};

/// Spec:       PCI Express Base Specification 6.0, 7.5 to 7.9; the kernel's
///             Documentation/driver-api/vfio.rst.
/// Implements: a host's device as an endpoint: its identity, memory BARs (mapped where the kernel
///             allows), MSI-X, MSI and INTx by eventfds, function level reset; each other
///             capability as capability_rules.hpp says.
/// Deviates:   no I/O BARs, no expansion ROM. D3hot stops DMA and interrupts and leaves the
///             device's power alone. The pending bit of a masked MSI-X vector reads 0, though its
///             message is sent when it is unmasked. Memory Space Enable takes the guest's mappings
///             away, not the host's.
///
/// Built before a vCPU runs; destroyed when none does.
class VfioPciFunction final : public pci::PciFunction {
  public:
    /// Throws io::Error. `device` outlives this.
    VfioPciFunction(const PassedDevice& device, const FunctionWiring& wiring);
    VfioPciFunction(const VfioPciFunction&) = delete;
    VfioPciFunction& operator=(const VfioPciFunction&) = delete;
    ~VfioPciFunction() override;

    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
    /// Resets the device, too: takes its time (100 ms and more; a minute when it does not come
    /// back). Threads that ask while a reset runs share the next one.
    void reset() noexcept override;
    /// For good: from now on reset() is without effect, and returns unless it is at it. Does not
    /// wait. Any thread.
    void end_resets() noexcept { resets_.close(); }

    /// For good: it sends no interrupts and reaches no memory any more. Any thread.
    void stop() noexcept { mirror_->stop(); }

  private:
    /// A part of a BAR. Immovable once its region is made.
    struct Piece {
        io::Mapping mapping{};
        std::unique_ptr<RegionWindow> window{};
        std::unique_ptr<Region> region{};
    };

    void add_capabilities(pci::PortType type);
    void add_capability(const FoundCapability& capability, pci::PortType type);
    [[nodiscard]] Region& make_piece(const RegionInfo& region, const BarCut& cut);
    [[nodiscard]] std::vector<pci::BarSpec> make_bars();
    /// Writes the bytes of a guest's write that are the device's.
    void pass_write(std::uint64_t offset, std::span<const std::byte> data) noexcept;
    /// Whether the write starts a function level reset, whose bit is taken out of `data`.
    [[nodiscard]] bool take_flr(std::uint64_t offset, std::span<std::byte> data) const noexcept;
    void reset_device() noexcept;

    // Configuration.
    const VfioDevice& device_;
    const ConfigPlan& plan_;
    const PassedDevice& passed_;
    // Wiring.
    io::Log& log_;
    std::vector<std::unique_ptr<SharedVector>> vectors_;  ///< as many as its MSI or MSI-X has
    // Accounting.
    io::RateLimit reset_failures_;

    std::optional<pci::Msi> msi_;
    std::optional<pci::Msix> msix_;
    std::vector<Piece> pieces_;
    std::optional<pci::Bars> bars_;
    std::optional<Mirror> mirror_;
    /// Waited for with the lock of a port above held, perhaps. A reset takes locks of the function,
    /// of parts of it and of the map of BARs, but none of a port.
    ResetQueue resets_;
};

}  // namespace cxlvm::vfio
