// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "memory/address.hpp"
#include "vmm/acpi/aml.hpp"

/// Resource descriptors (ACPI 6.5, 6.4), to be collected by resource_template().
namespace cxlvm::acpi::aml {

/// A buffer with the descriptors and an end tag (6.4.2.9): the value of _CRS.
[[nodiscard]] Term resource_template(Terms descriptors);

/// I/O ports that a device decodes, at a fixed place, with 16 address bits (6.4.2.5).
[[nodiscard]] Term io_ports(std::uint16_t base, std::uint8_t length);
/// Read-write memory below 4 GiB at a fixed place (6.4.3.4).
[[nodiscard]] Term fixed_memory(std::uint32_t base, std::uint32_t length);
/// A global system interrupt that the device raises: edge-triggered, active high, not shared
/// (6.4.3.6).
[[nodiscard]] Term edge_interrupt(std::uint32_t gsi);

// Windows that a bridge hands down (6.4.3.5), first to last inclusive.
[[nodiscard]] Term bus_window(std::uint16_t first, std::uint16_t last);
[[nodiscard]] Term io_window(std::uint16_t first, std::uint16_t last);
/// Must lie below 4 GiB.
[[nodiscard]] Term memory_window_32(GpaRange range);
[[nodiscard]] Term memory_window_64(GpaRange range);

}  // namespace cxlvm::acpi::aml
