// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cxlvm {

/// How a VM ended. The numbers are the exit codes of `cxlvm run`.
enum class ExitReason : std::uint8_t {
    PowerOff = 0,     ///< the guest powered off, or the owner stopped the VM
    HostError = 1,    ///< the host failed us: the message is in Vm::error()
    Reset = 32,       ///< the guest asked for a reset
    Crash = 33,       ///< triple fault, or KVM could not run the guest's code any further
    GuestPanic = 34,  ///< the guest reported a kernel panic
};

/// Who ended a VM.
enum class EndCause : std::uint8_t {
    Guest,            ///< the guest itself, or what became of it
    Request,          ///< the owner: Vm::stop(), or the end of the loop or the Vm
    ShutdownTimeout,  ///< the guest did not power off in time when asked to
    EscapeKey,        ///< the operator, at the console's terminal
};

/// "powered off", "reset", ... as messages say it.
[[nodiscard]] const char* to_string(ExitReason reason) noexcept;

}  // namespace cxlvm
