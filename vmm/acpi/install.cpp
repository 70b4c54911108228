// SPDX-License-Identifier: Apache-2.0
#include "io/error.hpp"
#include "vmm/acpi/acpi.hpp"
#include "vmm/acpi/tables.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::acpi {

Gpa install(const AcpiConfig& config, const GuestMemory& memory) {
    if (!memory.write(layout::kAcpiTables, build_tables(config, layout::kAcpiTables))) {
        io::throw_input("--memory: the guest has less than the 1 MiB that holds its ACPI tables");
    }
    return layout::kAcpiTables;
}

}  // namespace cxlvm::acpi
