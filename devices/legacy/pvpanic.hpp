// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/device.hpp"
#include "devices/register.hpp"
#include "devices/system_event.hpp"
#include "io/log.hpp"

namespace cxlvm {

// The one register: reading gives the events that are supported, writing reports events.
inline constexpr Field<bool, 0, 0> kPvpanicPanicked;     ///< the guest panicked
inline constexpr Field<bool, 1, 1> kPvpanicCrashLoaded;  ///< the guest handles its crash itself

/// Spec:       the pvpanic ISA interface: one byte at port 0x505, found through ACPI id QEMU0001.
/// Implements: the events "panicked" and "crash loaded".
/// Deviates:   no shutdown event: ACPI soft-off serves that.
class Pvpanic final : public Device {
  public:
    Pvpanic(SystemEventSink& events, io::Log& log) noexcept : events_(events), log_(log) {}

    [[nodiscard]] const char* name() const noexcept override { return "pvpanic"; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
    /// Nothing is kept between accesses.
    void reset() noexcept override {}

  private:
    // Wiring.
    SystemEventSink& events_;
    io::Log& log_;
    // Accounting.
    io::RateLimit oddities_;
};

}  // namespace cxlvm
