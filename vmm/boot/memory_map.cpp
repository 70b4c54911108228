// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "vmm/boot/boot.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

using Type = MemoryMapEntry::Type;

void add(std::vector<MemoryMapEntry>& map, std::optional<GpaRange> range, Type type) {
    if (range) {
        map.push_back({.range = *range, .type = type});
    }
}

}  // namespace

std::vector<MemoryMapEntry> memory_map(const GuestMemory& memory) {
    const auto low = GpaRange::between(Gpa(0), Gpa(layout::kLowReserved.value() - 1));
    const auto legacy =
        GpaRange::between(layout::kLowReserved, Gpa(layout::kAcpiTables.value() - 1));
    const auto tables = GpaRange::of(layout::kAcpiTables, layout::kAcpiTablesSize);
    const auto firmware =
        GpaRange::between(layout::kFirmware, Gpa(layout::kHighMemory.value() - 1));
    const auto ecam = GpaRange::of(layout::kEcam, layout::kEcamSize);

    std::vector<MemoryMapEntry> map;
    for (const GuestMemory::Block& block : memory.blocks()) {
        if (block.range.base() >= layout::kHighMemory) {
            add(map, block.range, Type::Ram);
            continue;
        }
        add(map, low->intersection(block.range), Type::Ram);
        add(map, legacy->intersection(block.range), Type::Reserved);
        add(map, tables->intersection(block.range), Type::AcpiReclaimable);
        add(map, firmware->intersection(block.range), Type::Reserved);
        add(map, GpaRange::between(layout::kHighMemory, block.range.last()), Type::Ram);
    }
    // Linux uses the ECAM window only if it is reserved here or in the ACPI name space.
    add(map, ecam, Type::Reserved);
    std::sort(map.begin(), map.end(), [](const MemoryMapEntry& a, const MemoryMapEntry& b) {
        return a.range.base() < b.range.base();
    });
    return map;
}

}  // namespace cxlvm::boot
