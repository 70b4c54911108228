// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/builtin_guest/guest/acpi.hpp"
#include "vmm/builtin_guest/guest/command_line.hpp"

namespace guest {

/// Sends serial input back until Ctrl-D (0x04), then tells its length and its Adler-32 checksum
/// (RFC 1950).
void echo(Console& console);

/// Ends the guest as `ending` says.
[[noreturn]] void end(Console& console, const MemoryMap& map, const AcpiFacts& acpi, Ending ending);

}  // namespace guest
