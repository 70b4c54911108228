// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/builtin_guest/guest/console.hpp"

namespace guest {

/// Rate of the time stamp counter by the hypervisor's timing leaf; 0 when it does not say.
[[nodiscard]] std::uint32_t tsc_khz();

void report_cpu(Console& console);

}  // namespace guest
