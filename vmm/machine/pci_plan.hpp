// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "devices/pci_place.hpp"
#include "vmm/machine/placement.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// The PCI buses that a configuration asks for, before anything is made.
struct PciPlan {
    struct Bridge {
        std::string id;              ///< empty for the first, which every machine has
        std::uint8_t first_bus = 0;  ///< its root bus
        std::uint8_t last_bus = 0;   ///< one more bus behind each root port
        std::uint32_t devices = 0;   ///< of the root bus, from number 1 on
        Placement windows;           ///< for the BARs behind it
    };
    std::vector<Bridge> bridges;

    /// The index of the host bridge that `place` names, which has been checked.
    [[nodiscard]] std::size_t index_of(const PciPlace& place) const noexcept;
};

/// A device's place, and the option that names the device, for messages.
struct NamedPlace {
    std::string_view option;  ///< without the dashes
    const PciPlace& place;
};

/// Of all devices, in the order in which a guest is to find them. They refer to `config`.
[[nodiscard]] std::vector<NamedPlace> places_of(const VmConfig& config);

/// Throws io::Error (Fault::Input): ids of host bridges that are empty or given twice, devices on
/// one that does not exist, and more of anything than there are numbers for.
void check_places(const VmConfig& config);

/// A pure function of a configuration that check_places() accepts. Throws io::Error (Fault::Input)
/// when `windows` are too small for that many host bridges.
[[nodiscard]] PciPlan plan_pci(const VmConfig& config, const Placement& windows);

}  // namespace cxlvm
