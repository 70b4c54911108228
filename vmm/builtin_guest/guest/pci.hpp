// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/builtin_guest/guest/acpi.hpp"

namespace guest {

/// Lists the PCI functions on bus 0 and behind bridges, and reads each of them in both ways, by
/// ECAM and by ports 0xcf8/0xcfc: the two must agree.
void report_pci(Console& console, const MemoryMap& map, const AcpiFacts& acpi);

}  // namespace guest
