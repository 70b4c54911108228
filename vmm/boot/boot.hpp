// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/log.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm::boot {

/// The command line when none is given: the console is the serial port, and a panic resets at once
/// instead of hanging.
inline constexpr std::string_view kDefaultCommandLine = "console=ttyS0 panic=-1";

/// A piece of the guest's physical memory map, with the type numbers of E820 (ACPI 6.5,
/// table 15.4).
struct MemoryMapEntry {
    enum class Type : std::uint32_t { Ram = 1, Reserved = 2, AcpiReclaimable = 3 };
    GpaRange range;
    Type type;
};

/// RAM blocks with the legacy hole, the ACPI tables and the ECAM window marked; ascending.
[[nodiscard]] std::vector<MemoryMapEntry> memory_map(const GuestMemory& memory);

/// The state in which the boot processor begins.
struct EntryState {
    enum class Mode : std::uint8_t {
        Long,       ///< 64-bit, paging on with page tables at layout::kPageTables
        Protected,  ///< 32-bit flat, paging off (PVH, and the 32-bit entry of bzImage)
    };
    Mode mode = Mode::Long;
    Gpa entry;
    std::uint64_t rsi = 0;  ///< boot parameters (Linux 64-bit boot protocol)
    std::uint64_t rbx = 0;  ///< start info (PVH)
    std::uint64_t rsp = 0;
};

/// What was loaded and how, for messages and for the bench.
struct LoadedGuest {
    EntryState entry;
    std::string format;       ///< "bzImage (lz4), unpacked", "vmlinux", "PVH", "built-in guest"
    bool from_cache = false;  ///< the payload came from the cache
};

/// Loads kernel, initrds and command line and writes boot parameters, GDT and page tables. `rsdp`
/// is handed to the guest. Throws io::Error: Input and the file's name for whatever is wrong with a
/// file or does not fit, Host for the rest.
[[nodiscard]] LoadedGuest load(const BootConfig& config, GuestMemory& memory, Gpa rsdp,
                               io::Log& log);

}  // namespace cxlvm::boot
