// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/msi_irqfd.hpp"

#include <fmt/format.h>

#include <cstring>

#include "io/error.hpp"

namespace cxlvm {

MsiIrqfd::MsiIrqfd(const char* name, IrqChip& chip, io::Log& log)
    : name_(name), chip_(chip), log_(log), event_(name), gsi_(chip.routes()) {
    if (const int error = chip_.vm().assign_irqfd(event_.fd(), gsi_.number()); error != 0) {
        io::throw_error(error, fmt::format("KVM_IRQFD for {}", name));
    }
}

MsiIrqfd::~MsiIrqfd() {
    // One that is there: nothing to fail.
    static_cast<void>(chip_.vm().remove_irqfd(event_.fd(), gsi_.number()));
}

void MsiIrqfd::route(const std::optional<MsiMessage>& message) noexcept {
    const int error = chip_.routes().set(gsi_.number(), message);
    if (error == 0) {
        // KVM drops a signal that comes while there is no route.
        if (message && shared_.load()) {
            fire();
        }
        return;
    }
    static_cast<void>(chip_.routes().set(gsi_.number(), std::nullopt));
    if (message) {
        log_.guest(refused_limit_,
                   "{}: a vector stays silent: {:#x} written to {:#x} is no interrupt: {}", name_,
                   message->data, message->address, std::strerror(error));
    }
}

int MsiIrqfd::share() noexcept {
    shared_.store(true);
    return event_.fd();
}

}  // namespace cxlvm
