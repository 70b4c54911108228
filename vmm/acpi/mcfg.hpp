// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vmm/acpi/table.hpp"

namespace cxlvm::acpi {

/// The table that says where PCI Express configuration space is mapped (PCI Firmware Specification
/// 3.3, 4.1.2): one segment group at layout::kEcam, of the buses 0 to `last_bus`.
[[nodiscard]] TableBytes mcfg(std::uint8_t last_bus);

}  // namespace cxlvm::acpi
