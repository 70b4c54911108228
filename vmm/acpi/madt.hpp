// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// Multiple APIC Description Table (ACPI 6.5, 5.2.12): a processor for each APIC id, with its index
/// as UID, and the I/O APIC. There is no 8259, hence no source override: every interrupt is named
/// by its global number.
[[nodiscard]] TableBytes madt(std::span<const std::uint32_t> apic_ids);

}  // namespace cxlvm::acpi
