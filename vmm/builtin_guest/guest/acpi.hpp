// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vmm/builtin_guest/guest/memory_map.hpp"

namespace guest {

/// A byte-wide register that a table names; absent where `space` is None.
struct AcpiRegister {
    enum class Space : std::uint8_t { None, Memory, Io };
    Space space = Space::None;
    std::uint64_t address = 0;
};

/// What the tables say that the rest of the guest needs.
struct AcpiFacts {
    AcpiRegister sleep_control;
    std::uint8_t soft_off_type = 0;
    bool has_soft_off = false;  ///< the DSDT has an \_S5 package
    AcpiRegister reset;
    std::uint8_t reset_value = 0;
    std::uint64_t ecam = 0;  ///< configuration space of segment 0; 0: none
    std::uint8_t first_bus = 0;
    std::uint8_t last_bus = 0;
};

/// Walks the tables from the RSDP on, checks and lists them; anything broken is reported and left
/// alone. Prints nothing when `quiet`.
[[nodiscard]] AcpiFacts survey_acpi(Console& console, const MemoryMap& map, std::uint64_t rsdp,
                                    bool quiet);

/// Writes `value`, unless the register is absent or would be memory.
void write_register(const MemoryMap& map, AcpiRegister target, std::uint8_t value);

}  // namespace guest
