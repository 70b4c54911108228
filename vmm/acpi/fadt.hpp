// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "memory/address.hpp"
#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// Fixed ACPI Description Table of a hardware-reduced machine (ACPI 6.5, 4.1 and 5.2.9): no fixed
/// registers but sleep control, sleep status and reset, which devices/acpi/power.hpp defines.
/// `dsdt` must lie below 4 GiB.
[[nodiscard]] TableBytes fadt(Gpa dsdt);

}  // namespace cxlvm::acpi
