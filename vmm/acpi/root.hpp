// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "memory/address.hpp"
#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// Root System Description Pointer, revision 2 (ACPI 6.5, 5.2.5.3).
[[nodiscard]] TableBytes rsdp(Gpa xsdt);

/// Extended System Description Table (5.2.8): where the other tables are. The FADT stands first.
[[nodiscard]] TableBytes xsdt(std::span<const Gpa> tables);

}  // namespace cxlvm::acpi
