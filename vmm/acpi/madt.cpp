// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/madt.hpp"

#include <algorithm>
#include <utility>

#include "vmm/layout.hpp"

namespace cxlvm::acpi {
namespace {

constexpr std::uint8_t kRevision = 6;

// Structure types and lengths (table 5.21 and the sections it names).
struct Kind {
    std::uint8_t type;
    std::uint8_t length;
};
constexpr Kind kLocalApic{0, 8};
constexpr Kind kIoApic{1, 12};
constexpr Kind kLocalApicNmi{4, 6};
constexpr Kind kLocalX2apic{9, 16};
constexpr Kind kLocalX2apicNmi{0xa, 12};

constexpr std::uint32_t kEnabled = 1U << 0;
/// Larger ids need the x2APIC structures; 255 addresses all processors at once.
constexpr std::uint32_t kLastXapicId = 254;
constexpr std::uint8_t kNmiPin = 1;  // LINT1, as on every PC

void begin(Table& table, Kind kind) {
    table.put(kind.type).put(kind.length);
}

void add_processor(Table& table, std::uint32_t uid, std::uint32_t apic_id) {
    if (apic_id <= kLastXapicId && uid <= kLastXapicId) {
        begin(table, kLocalApic);
        table.put(static_cast<std::uint8_t>(uid)).put(static_cast<std::uint8_t>(apic_id));
        table.put(kEnabled);
    } else {
        begin(table, kLocalX2apic);
        table.put(std::uint16_t{0}).put(apic_id).put(kEnabled).put(uid);
    }
}

}  // namespace

TableBytes madt(std::span<const std::uint32_t> apic_ids) {
    Table table("APIC", kRevision);
    table.put(static_cast<std::uint32_t>(layout::kLocalApic.value()));
    table.put(std::uint32_t{0});  // flags: no PCAT_COMPAT, there is no 8259
    std::uint32_t uid = 0;
    for (const std::uint32_t apic_id : apic_ids) {
        add_processor(table, uid++, apic_id);
    }
    begin(table, kIoApic);
    table.put(std::uint8_t{0}).put(std::uint8_t{0});  // id
    table.put(static_cast<std::uint32_t>(layout::kIoApic.value()));
    table.put(std::uint32_t{0});  // its first global system interrupt
    // The NMI pin of all processors.
    begin(table, kLocalApicNmi);
    table.put(std::uint8_t{0xff}).put(std::uint16_t{0}).put(kNmiPin);
    if (std::ranges::any_of(apic_ids, [](std::uint32_t id) { return id > kLastXapicId; })) {
        begin(table, kLocalX2apicNmi);
        table.put(std::uint16_t{0}).put(std::uint32_t{0xffff'ffff}).put(kNmiPin).zeros(3);
    }
    return std::move(table).finish();
}

}  // namespace cxlvm::acpi
