// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "vmm/acpi/acpi.hpp"
#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// Processors that the names C000 to CFFF can tell apart.
inline constexpr std::size_t kMaxProcessors = 0x1000;
/// Host bridges that the names PCI0 to PCIF can tell apart.
inline constexpr std::size_t kMaxHostBridges = 0x10;

/// Differentiated System Description Table (ACPI 6.5, 5.2.11.1): the devices that cannot be found
/// by asking a bus, and how to sleep. At most kMaxProcessors APIC ids and
/// kMaxHostBridges host bridges.
[[nodiscard]] TableBytes dsdt(const AcpiConfig& config);

}  // namespace cxlvm::acpi
