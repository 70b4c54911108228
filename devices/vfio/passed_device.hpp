// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/pci/bar.hpp"
#include "devices/vfio/bar_cut.hpp"
#include "devices/vfio/config_plan.hpp"
#include "devices/vfio/vfio_device.hpp"

namespace cxlvm::vfio {

/// A device, and what a guest is to see of it. Holds the device; it is on no bus yet.
class PassedDevice {
  public:
    struct BarPlan {
        std::uint8_t index = 0;
        pci::BarKind kind = pci::BarKind::Memory32;
        std::uint64_t size = 0;
        bool prefetchable = false;
        std::vector<BarCut> cuts{};
    };

    /// Throws io::Error when what the kernel says of the device makes no sense.
    explicit PassedDevice(VfioDevice device);

    [[nodiscard]] const VfioDevice& device() const noexcept { return device_; }
    [[nodiscard]] const ConfigPlan& plan() const noexcept { return plan_; }
    /// Memory BARs; I/O BARs are not passed, for guests have no I/O window behind ports and every
    /// PCI Express device works without (7.5.1.2.1 of its specification).
    [[nodiscard]] const std::vector<BarPlan>& bars() const noexcept { return bars_; }

    /// How many vectors it is to be given.
    [[nodiscard]] std::size_t vectors() const noexcept;
    /// Whether it has an interrupt pin that can be passed.
    [[nodiscard]] bool has_pin() const noexcept;

  private:
    /// `structures`: those of MSI-X that the device has, also where the guest gets none.
    void plan_bars(const std::optional<ConfigPlan::MsixPart>& structures);
    [[noreturn]] void nonsense(const std::string& what) const;

    VfioDevice device_;
    ConfigPlan plan_;
    std::vector<BarPlan> bars_;
};

}  // namespace cxlvm::vfio
