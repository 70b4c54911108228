// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/builtin_guest/guest/console.hpp"

namespace guest {

/// Measures `count` exits to the VMM: reads of the serial port's scratch register, which has no
/// side effect and takes the whole way through the VMM to a device.
void report_exits(Console& console, std::uint64_t count);

}  // namespace guest
