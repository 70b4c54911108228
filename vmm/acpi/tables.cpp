// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "vmm/acpi/dsdt.hpp"
#include "vmm/acpi/fadt.hpp"
#include "vmm/acpi/madt.hpp"
#include "vmm/acpi/mcfg.hpp"
#include "vmm/acpi/root.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::acpi {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kRsdpRoom = 64;  // the RSDP is written last, once the XSDT's place is known

/// Places tables one after the other.
class Image {
  public:
    explicit Image(Gpa base) : base_(base), bytes_(kRsdpRoom) {}

    Gpa add(const TableBytes& table) {
        const std::size_t offset = bytes_.size();
        bytes_.insert(bytes_.end(), table.begin(), table.end());
        bytes_.resize(io::align_up(bytes_.size(), kAlignment));
        return Gpa(base_.value() + offset);
    }
    [[nodiscard]] TableBytes finish(const TableBytes& rsdp) && {
        io::check(rsdp.size() <= kRsdpRoom, "the RSDP outgrew its place");
        std::ranges::copy(rsdp, bytes_.begin());
        return std::move(bytes_);
    }

  private:
    Gpa base_;
    TableBytes bytes_;
};

[[noreturn]] void throw_too_many(std::size_t processors) {
    io::throw_input(
        fmt::format("--cpus: the ACPI tables of {} vCPUs need more than the {} KiB that they have; "
                    "take fewer vCPUs",
                    processors, layout::kAcpiTablesSize >> 10));
}

}  // namespace

TableBytes build_tables(const AcpiConfig& config, Gpa base) {
    const std::size_t processors = config.apic_ids.size();
    if (processors > kMaxProcessors) {
        throw_too_many(processors);
    }
    Image image(base);
    const Gpa dsdt_place = image.add(dsdt(config));
    const std::array<Gpa, 3> listed{image.add(fadt(dsdt_place)), image.add(madt(config.apic_ids)),
                                    image.add(mcfg(config.host_bridges.back().last_bus))};
    const Gpa xsdt_place = image.add(xsdt(listed));
    TableBytes bytes = std::move(image).finish(rsdp(xsdt_place));
    if (bytes.size() > layout::kAcpiTablesSize) {
        throw_too_many(processors);
    }
    return bytes;
}

}  // namespace cxlvm::acpi
