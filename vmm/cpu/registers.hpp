// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vmm/boot/boot.hpp"

namespace cxlvm::cpu {

/// A segment register with its hidden part; the fields of KVM's `struct kvm_segment`.
struct Segment {
    std::uint64_t base = 0;
    std::uint32_t limit = 0;  ///< in bytes, also when `granularity` says pages
    std::uint16_t selector = 0;
    std::uint8_t type = 0;
    bool present = false;
    std::uint8_t dpl = 0;
    bool default_32 = false;    ///< D/B
    bool code_or_data = false;  ///< S; system segments clear it
    bool long_mode = false;     ///< L
    bool granularity = false;   ///< G

    friend bool operator==(const Segment&, const Segment&) noexcept = default;
};

struct DescriptorTable {
    std::uint64_t base = 0;
    std::uint16_t limit = 0;  ///< bytes less one

    friend bool operator==(const DescriptorTable&, const DescriptorTable&) noexcept = default;
};

/// Everything that differs from the reset state when the boot processor enters a guest.
struct EntryRegisters {
    Segment code;  ///< CS
    Segment data;  ///< DS, ES, FS, GS and SS
    Segment task;  ///< TR; virtualization extensions insist on a busy one
    DescriptorTable gdt;
    DescriptorTable idt;
    std::uint64_t cr0 = 0;
    std::uint64_t cr3 = 0;
    std::uint64_t cr4 = 0;
    std::uint64_t efer = 0;
    std::uint64_t rip = 0;
    std::uint64_t rsp = 0;
    std::uint64_t rsi = 0;
    std::uint64_t rbx = 0;
    std::uint64_t rflags = 0;
};

/// Selectors of the boot GDT, as Linux names them (Documentation/arch/x86/boot.rst: __BOOT_CS and
/// __BOOT_DS). The boot code puts the GDT, of four entries, at layout::kGdt.
inline constexpr std::uint16_t kCodeSelector = 0x10;
inline constexpr std::uint16_t kDataSelector = 0x18;
inline constexpr unsigned kGdtEntries = 4;

/// The registers that `entry` asks for: interrupts off, flat segments, no interrupt table.
[[nodiscard]] EntryRegisters entry_registers(const boot::EntryState& entry) noexcept;

}  // namespace cxlvm::cpu
