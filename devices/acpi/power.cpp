// SPDX-License-Identifier: Apache-2.0
#include "devices/acpi/power.hpp"

#include <array>

namespace cxlvm::acpi {

namespace {

// clang-format off
constexpr std::array kRegisters = {
    RegisterSpec{.offset = power_offset::kSleepControl, .width = 1,
                 .writable = mask_of<std::uint8_t>(kSleepType)},
    RegisterSpec{.offset = power_offset::kSleepStatus, .width = 1,
                 .w1c = mask_of<std::uint8_t>(kWakeStatus)},
    RegisterSpec{.offset = power_offset::kReset, .width = 1},
    RegisterSpec{.offset = power_offset::kEvents, .width = 1,
                 .w1c = mask_of<std::uint8_t>(kPowerButtonEvent)},
};
// clang-format on

}  // namespace

Power::Power(SystemEventSink& events, IrqLine& event_irq, io::Log& log)
    : events_(events), event_irq_(event_irq), log_(log), registers_(kPowerPorts, kRegisters) {}

std::span<const RegisterSpec> Power::registers() noexcept {
    return kRegisters;
}

void Power::press_power_button() noexcept {
    {
        const io::MutexLock lock(mutex_);
        const Register<std::uint8_t> pending{registers_.get8(power_offset::kEvents)};
        registers_.set8(power_offset::kEvents, pending.with(kPowerButtonEvent, true).raw);
    }
    // Also when the bit was set already: a guest that was not listening yet gets a second edge.
    event_irq_.pulse();
}

IoStatus Power::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    const io::MutexLock lock(mutex_);
    return registers_.read(offset, data);
}

IoStatus Power::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    {
        const io::MutexLock lock(mutex_);
        if (const IoStatus status = registers_.write(offset, data); status != IoStatus::Ok) {
            return status;
        }
    }
    const auto written = std::to_integer<std::uint8_t>(data[0]);
    switch (offset) {
        case power_offset::kSleepControl:
            control_sleep({written});
            break;
        case power_offset::kReset:
            if (written == kResetValue) {
                events_.raise(SystemEvent::Reset);
            } else {
                log_.guest(oddities_, "acpi-power: {:#x} in the reset register was ignored",
                           written);
            }
            break;
        default:
            break;
    }
    return IoStatus::Ok;
}

void Power::control_sleep(Register<std::uint8_t> written) noexcept {
    if (!written.get(kSleepEnable)) {
        return;
    }
    const std::uint8_t type = written.get(kSleepType);
    if (type == kSleepTypeS5) {
        events_.raise(SystemEvent::PowerOff);
    } else {
        log_.guest(oddities_, "acpi-power: sleep type {} does not exist and was ignored", type);
    }
}

void Power::reset() noexcept {
    const io::MutexLock lock(mutex_);
    registers_.reset();
}

}  // namespace cxlvm::acpi
