// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <numeric>

#include "vmm/acpi/acpi.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::acpi {

/// A machine of `processors` with dense APIC ids, one host bridge, and windows of common sizes.
inline AcpiConfig machine(unsigned processors) {
    AcpiConfig config{
        .apic_ids = std::vector<std::uint32_t>(processors),
        .host_bridges = {{.mmio32 = *GpaRange::of(layout::kMmio32, layout::kMmio32Size),
                          .mmio64 = *GpaRange::of(Gpa(0x80'0000'0000), 0x40'0000'0000)}}};
    std::iota(config.apic_ids.begin(), config.apic_ids.end(), 0U);
    return config;
}

}  // namespace cxlvm::acpi
