// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cxlvm {

/// What a guest asks of the machine as a whole.
enum class SystemEvent : std::uint8_t {
    PowerOff,          ///< ACPI sleep state S5
    Reset,             ///< ACPI reset register, i8042 or port 0xCF9
    GuestPanic,        ///< pvpanic: the guest kernel panicked
    GuestCrashLoaded,  ///< pvpanic: the guest handles its crash itself (kexec); informative
};

class SystemEventSink {
  public:
    /// Any thread; returns at once. The first event that ends the machine wins.
    virtual void raise(SystemEvent event) noexcept = 0;

  protected:
    SystemEventSink() = default;
    SystemEventSink(const SystemEventSink&) = default;
    SystemEventSink& operator=(const SystemEventSink&) = default;
    ~SystemEventSink() = default;
};

}  // namespace cxlvm
