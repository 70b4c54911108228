// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/passed_irqfd.hpp"

#include <fmt/format.h>

#include "io/error.hpp"

namespace cxlvm {

PassedMsiIrqfd::PassedMsiIrqfd(const char* name, IrqChip& chip, io::Log& log)
    : name_(name), chip_(chip), log_(log), event_(name), gsi_(chip.routes().acquire()) {}

PassedMsiIrqfd::~PassedMsiIrqfd() {
    disconnect();
    chip_.routes().release(gsi_);
}

void PassedMsiIrqfd::route(const std::optional<MsiMessage>& message) noexcept {
    if (!message) {
        disconnect();
        static_cast<void>(chip_.routes().set(gsi_, std::nullopt));
        return;
    }
    if (const int error = chip_.routes().set(gsi_, message); error != 0) {
        log_.guest(refused_limit_,
                   "{}: a vector stays silent: {:#x} written to {:#x} is no interrupt: {}", name_,
                   message->data, message->address, io::errno_text(error));
        disconnect();
        static_cast<void>(chip_.routes().set(gsi_, std::nullopt));
        return;
    }
    connect();
}

void PassedMsiIrqfd::connect() noexcept {
    if (connected_) {
        return;
    }
    const int error = chip_.vm().assign_irqfd(event_.fd(), gsi_);
    connected_ = error == 0;
    if (error != 0) {
        log_.guest(refused_limit_, "{}: a vector stays silent: KVM_IRQFD: {}", name_,
                   io::errno_text(error));
    }
}

void PassedMsiIrqfd::disconnect() noexcept {
    if (connected_) {
        // One that is there: nothing to fail.
        static_cast<void>(chip_.vm().remove_irqfd(event_.fd(), gsi_));
        connected_ = false;
    }
}

PassedPinIrqfd::PassedPinIrqfd(const char* name, const IrqChip& chip, std::uint32_t gsi)
    : chip_(chip), trigger_(name), resample_(name), gsi_(gsi) {
    if (const int error = chip_.vm().assign_level_irqfd(trigger_.fd(), resample_.fd(), gsi_);
        error != 0) {
        io::throw_error(error, fmt::format("KVM_IRQFD with resampling for {}", name));
    }
}

PassedPinIrqfd::~PassedPinIrqfd() {
    // One that is there: nothing to fail.
    static_cast<void>(chip_.vm().remove_irqfd(trigger_.fd(), gsi_));
}

}  // namespace cxlvm
