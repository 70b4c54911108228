// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/mcfg.hpp"

#include <utility>

#include "vmm/layout.hpp"

namespace cxlvm::acpi {
namespace {

constexpr std::uint8_t kRevision = 1;

}  // namespace

TableBytes mcfg(std::uint8_t last_bus) {
    Table table("MCFG", kRevision);
    table.zeros(8);
    table.put(layout::kEcam.value()).put(std::uint16_t{0});  // segment group
    table.put(std::uint8_t{0}).put(last_bus).zeros(4);
    return std::move(table).finish();
}

}  // namespace cxlvm::acpi
