// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/device.hpp"
#include "devices/irq.hpp"
#include "devices/register.hpp"
#include "devices/register_file.hpp"
#include "devices/system_event.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"

namespace cxlvm::acpi {

/// Offsets from layout::kAcpiPort. Each register is one byte; the FADT and the DSDT give their
/// ports as kAcpiPort + offset.
namespace power_offset {
inline constexpr std::uint16_t kSleepControl = 0;  ///< FADT SLEEP_CONTROL_REG (ACPI 6.5, 4.8.3.7)
inline constexpr std::uint16_t kSleepStatus = 1;   ///< FADT SLEEP_STATUS_REG (4.8.3.7)
inline constexpr std::uint16_t kReset = 2;         ///< FADT RESET_REG (4.8.3.6)
inline constexpr std::uint16_t kEvents = 4;  ///< what the event device's _EVT looks at (5.6.9)
}  // namespace power_offset

inline constexpr std::uint16_t kPowerPorts = 16;  ///< ports decoded from layout::kAcpiPort on

/// SLP_TYPx of soft-off, for the DSDT's \_S5 package. The other sleep states do not exist.
inline constexpr std::uint8_t kSleepTypeS5 = 5;
/// FADT RESET_VALUE.
inline constexpr std::uint8_t kResetValue = 0x01;

// Sleep control register (4.8.3.7).
inline constexpr Field<std::uint8_t, 4, 2> kSleepType;  ///< SLP_TYPx
inline constexpr Field<bool, 5, 5> kSleepEnable;        ///< SLP_EN: write only, reads as zero
// Sleep status register (4.8.3.7).
inline constexpr Field<bool, 7, 7> kWakeStatus;  ///< WAK_STS: write 1 to clear
/// Event register, ours: a bit is set by the event and cleared by writing 1 to it. _EVT reads it,
/// writes back what it has read, then notifies.
inline constexpr Field<bool, 0, 0> kPowerButtonEvent;

/// Spec:       ACPI 6.5, 4.1 (hardware-reduced), 4.8.3.6 (reset register), 4.8.3.7 (sleep control
///             and status), 5.6.9 (interrupt-signaled events).
/// Implements: soft-off, reset, and the power button as an event of a Generic Event Device.
/// Deviates:   no sleep state but S5, so WAK_STS is never set. Accesses are one byte wide.
class Power final : public Device {
  public:
    /// `event_irq` is the edge-triggered line that the event device's _CRS names.
    Power(SystemEventSink& events, IrqLine& event_irq, io::Log& log);

    /// Tells the guest that the power button was pressed. Any thread.
    void press_power_button() noexcept CXLVM_EXCLUDES(mutex_);

    [[nodiscard]] const char* name() const noexcept override { return "acpi-power"; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
    void reset() noexcept override;

    /// The registers as the standard prints them.
    [[nodiscard]] static std::span<const RegisterSpec> registers() noexcept;

  private:
    void control_sleep(Register<std::uint8_t> written) noexcept;

    // Wiring.
    SystemEventSink& events_;
    IrqLine& event_irq_;
    io::Log& log_;
    // Accounting.
    io::RateLimit oddities_;
    // State: all of it is in the registers.
    io::Mutex mutex_;
    RegisterFile registers_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::acpi
