// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/memory_map.hpp"

#include "vmm/builtin_guest/guest/machine.hpp"

namespace guest {
namespace {

constexpr std::uint64_t kRsdpOffset = 0x70;
constexpr std::uint64_t kEntryCountOffset = 0x1e8;
constexpr std::uint64_t kCommandLineOffset = 0x228;
constexpr std::uint64_t kMapOffset = 0x2d0;
constexpr unsigned kMaxEntries = 128;
constexpr std::uint64_t kEntrySize = 20;
constexpr std::uint64_t kMapped = 1ULL << 32;

// Types of ACPI 6.5, table 15.4.
constexpr std::uint32_t kRam = 1;
constexpr std::uint32_t kAcpiReclaimable = 3;
constexpr std::uint32_t kAcpiNvs = 4;

bool is_memory(std::uint32_t type) {
    return type == kRam || type == kAcpiReclaimable || type == kAcpiNvs;
}

std::string_view type_name(std::uint32_t type) {
    switch (type) {
        case kRam:
            return "RAM";
        case kAcpiReclaimable:
            return "ACPI tables";
        case kAcpiNvs:
            return "ACPI storage";
        default:
            return "reserved";
    }
}

}  // namespace

std::uint64_t BootParams::rsdp() const {
    return peek<std::uint64_t>(address_ + kRsdpOffset);
}

std::uint32_t BootParams::command_line() const {
    return peek<std::uint32_t>(address_ + kCommandLineOffset);
}

unsigned BootParams::entry_count() const {
    const unsigned count = peek<std::uint8_t>(address_ + kEntryCountOffset);
    return count < kMaxEntries ? count : kMaxEntries;
}

BootParams::Entry BootParams::entry(unsigned index) const {
    const std::uint64_t at = address_ + kMapOffset + index * kEntrySize;
    return {peek<std::uint64_t>(at), peek<std::uint64_t>(at + 8), peek<std::uint32_t>(at + 16)};
}

std::uint64_t MemoryMap::readable(std::uint64_t address) const {
    if (address >= kMapped) {
        return 0;
    }
    for (unsigned i = 0; i < params_.entry_count(); ++i) {
        const BootParams::Entry entry = params_.entry(i);
        // In terms of offsets, which cannot wrap.
        if (is_memory(entry.type) && address >= entry.base && address - entry.base < entry.size) {
            const std::uint64_t rest = entry.size - (address - entry.base);
            return rest < kMapped - address ? rest : kMapped - address;
        }
    }
    return 0;
}

bool MemoryMap::is_device(std::uint64_t address, std::uint64_t size) const {
    if (size == 0 || address >= kMapped || size > kMapped - address) {
        return false;
    }
    for (unsigned i = 0; i < params_.entry_count(); ++i) {
        const BootParams::Entry entry = params_.entry(i);
        const bool apart = address >= entry.base ? address - entry.base >= entry.size
                                                 : entry.base - address >= size;
        if (is_memory(entry.type) && !apart) {
            return false;
        }
    }
    return true;
}

void MemoryMap::report(Console& console) const {
    constexpr unsigned kMostLines = 32;
    const unsigned count = params_.entry_count();
    std::uint64_t ram = 0;
    for (unsigned i = 0; i < count; ++i) {
        const BootParams::Entry entry = params_.entry(i);
        ram += entry.type == kRam ? entry.size : 0;
        if (i < kMostLines) {
            console.line(i == 0 ? "memory" : "", Hex{entry.base, 12}, " - ",
                         Hex{entry.base + entry.size - 1, 12}, ' ', type_name(entry.type));
        }
    }
    console.line(count == 0 ? "memory" : "", ram >> 10, " KiB of RAM in ", count, " entries");
}

}  // namespace guest
