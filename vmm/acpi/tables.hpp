// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/acpi/acpi.hpp"
#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// All tables as one block of bytes to be placed at `base`, a multiple of 64 below 4 GiB; the RSDP
/// comes first. Throws io::Error (Fault::Input) when they need more than layout::kAcpiTablesSize.
[[nodiscard]] TableBytes build_tables(const AcpiConfig& config, Gpa base);

}  // namespace cxlvm::acpi
