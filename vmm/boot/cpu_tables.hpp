// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vmm/boot/boot.hpp"

namespace cxlvm::boot {

/// Selectors of the boot GDT: __BOOT_CS and __BOOT_DS of the Linux boot protocol.
inline constexpr std::uint16_t kBootCodeSelector = 0x10;
inline constexpr std::uint16_t kBootDataSelector = 0x18;

/// Writes a GDT of four entries at layout::kGdt: flat code of `mode` at 0x10, flat data at 0x18.
void write_gdt(GuestMemory& memory, EntryState::Mode mode);

/// Writes page tables at layout::kPageTables that map the first 4 GiB onto themselves in pages of
/// 2 MiB, which every x86-64 processor has (1 GiB ones are optional).
void write_page_tables(GuestMemory& memory);

/// Writes real-mode code at layout::kResetVector that asks the ACPI reset register for a reset.
/// Linux ends there on a hardware-reduced machine: it then prefers EFI's reset to ACPI's, and
/// without EFI goes on to the BIOS entry.
void write_reset_vector(GuestMemory& memory);

}  // namespace cxlvm::boot
