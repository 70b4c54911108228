// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cpu_tables.hpp"

#include <array>

#include "devices/acpi/power.hpp"
#include "vmm/boot/low_memory.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::size_t kEntries = 512;
constexpr std::uint64_t kTableSize = 4096;
constexpr std::uint64_t kDirectories = 4;  ///< of 1 GiB each
constexpr std::uint64_t kLargePageSize = 2ULL << 20;

// Intel SDM volume 3, 4.5: page table entries; accessed and dirty spare the processor its writes.
constexpr std::uint64_t kPresent = 1U << 0;
constexpr std::uint64_t kWritable = 1U << 1;
constexpr std::uint64_t kAccessed = 1U << 5;
constexpr std::uint64_t kDirty = 1U << 6;
constexpr std::uint64_t kLargePage = 1U << 7;
constexpr std::uint64_t kTable = kPresent | kWritable | kAccessed;

// Intel SDM volume 3, 3.4.5: base 0, limit 4 GiB, present, ring 0, accessed.
constexpr std::uint64_t kFlatCode64 = 0x00af'9b00'0000'ffff;
constexpr std::uint64_t kFlatCode32 = 0x00cf'9b00'0000'ffff;
constexpr std::uint64_t kFlatData = 0x00cf'9300'0000'ffff;

static_assert(layout::kPageTables.value() % kTableSize == 0);

}  // namespace

void write_gdt(GuestMemory& memory, EntryState::Mode mode) {
    std::array<std::uint64_t, 4> gdt{};
    gdt[kBootCodeSelector / sizeof(gdt[0])] =
        mode == EntryState::Mode::Long ? kFlatCode64 : kFlatCode32;
    gdt[kBootDataSelector / sizeof(gdt[0])] = kFlatData;
    put(memory, layout::kGdt, gdt);
}

void write_reset_vector(GuestMemory& memory) {
    constexpr std::uint16_t kResetPort = layout::kAcpiPort + acpi::power_offset::kReset;
    constexpr std::array<std::uint8_t, 9> kCode = {
        0xba,
        kResetPort & 0xff,
        kResetPort >> 8,  // mov dx, reset port
        0xb0,
        acpi::kResetValue,  // mov al, reset value
        0xee,               // out dx, al
        0xf4,               // hlt
        0xeb,
        0xfd,  // jmp to the hlt
    };
    static_assert(layout::kResetVector.value() + kCode.size() <= layout::kHighMemory.value());
    put(memory, layout::kResetVector, kCode);
}

void write_page_tables(GuestMemory& memory) {
    // One PML4, one PDPT, then the directories.
    const std::uint64_t root = layout::kPageTables.value();
    const std::uint64_t pointers = root + kTableSize;
    const std::uint64_t directories = pointers + kTableSize;
    put(memory, Gpa(root), pointers | kTable);
    for (std::uint64_t i = 0; i < kDirectories; ++i) {
        put(memory, Gpa(pointers + i * sizeof(i)), (directories + i * kTableSize) | kTable);
    }
    std::array<std::uint64_t, kDirectories * kEntries> pages;
    for (std::uint64_t i = 0; i < pages.size(); ++i) {
        pages[i] = (i * kLargePageSize) | kTable | kDirty | kLargePage;
    }
    put(memory, Gpa(directories), pages);
}

}  // namespace cxlvm::boot
