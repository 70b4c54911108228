// SPDX-License-Identifier: Apache-2.0
#include "vmm/exit_reason.hpp"

namespace cxlvm {

const char* to_string(ExitReason reason) noexcept {
    switch (reason) {
        case ExitReason::PowerOff:
            return "powered off";
        case ExitReason::HostError:
            return "host error";
        case ExitReason::Reset:
            return "reset";
        case ExitReason::Crash:
            return "crashed";
        case ExitReason::GuestPanic:
            return "kernel panic";
    }
    return "unknown";
}

}  // namespace cxlvm
