// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/guest_memory.hpp"

namespace cxlvm::acpi {

/// A PCI Express host bridge: what it passes on to the buses behind it.
struct HostBridge {
    std::uint8_t first_bus = 0;
    std::uint8_t last_bus = 0;
    /// Devices of its root bus, from number 1 on, whose INTA# has a wire (layout::pci_gsi).
    std::uint32_t devices = 0;
    GpaRange mmio32;  ///< window for 32-bit BARs
    GpaRange mmio64;  ///< window for 64-bit BARs
};

/// What the tables describe. Fixed addresses come from vmm/layout.hpp.
struct AcpiConfig {
    std::vector<std::uint32_t> apic_ids;  ///< one per vCPU; above 254 an x2APIC entry is used
    /// In the order of their bus numbers, without a gap from bus 0 on. The first one has the I/O
    /// ports. MCFG and _CRS announce no more buses than these: Linux probes the slots of every bus
    /// that MCFG names through the configuration ports, and for 256 empty buses that is 16,000
    /// exits.
    std::vector<HostBridge> host_bridges;
};

/// Builds RSDP, XSDT, FADT (hardware-reduced), MADT, MCFG and DSDT at layout::kAcpiTables, and
/// returns the RSDP's address. Throws io::Error when they do not fit.
Gpa install(const AcpiConfig& config, const GuestMemory& memory);

}  // namespace cxlvm::acpi
