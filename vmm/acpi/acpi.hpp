// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/guest_memory.hpp"

namespace cxlvm::acpi {

/// What the tables describe. Fixed addresses come from vmm/layout.hpp.
struct AcpiConfig {
    std::vector<std::uint32_t> apic_ids;  ///< one per vCPU; above 254 an x2APIC entry is used
    GpaRange mmio32;                      ///< window for 32-bit BARs
    GpaRange mmio64;                      ///< window for 64-bit BARs
    /// Of the PCI buses. MCFG and _CRS announce no more: Linux probes the slots of every bus that
    /// MCFG names through the configuration ports, and for 256 empty buses that is 16,000 exits.
    std::uint8_t last_bus = 0;
    /// Devices of the root bus, from number 1 on, whose INTA# has a wire (layout::pci_gsi).
    std::uint32_t pci_devices = 0;
};

/// Builds RSDP, XSDT, FADT (hardware-reduced), MADT, MCFG and DSDT at layout::kAcpiTables, and
/// returns the RSDP's address. Throws io::Error when they do not fit.
Gpa install(const AcpiConfig& config, const GuestMemory& memory);

}  // namespace cxlvm::acpi
