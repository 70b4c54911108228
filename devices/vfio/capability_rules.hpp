// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace cxlvm::vfio {

/// What a guest sees of a capability of a passed device.
enum class Treatment : std::uint8_t {
    Passed,       ///< the device's own registers, read and written
    ReadOnly,     ///< the device's own registers; writes go nowhere
    Virtualised,  ///< registers of ours, which act through the host's kernel
    Hidden,       ///< nothing: its registers read as zero and it is in no chain
};

struct CapabilityRule {
    std::uint16_t id;
    Treatment treatment;
    const char* name;
    const char* reason;
};

/// The tables, by id: capabilities of the first 256 bytes, and extended ones (PCI Code and ID
/// Assignment Specification 1.16, 2 and 3).
[[nodiscard]] std::span<const CapabilityRule> capability_rules() noexcept;
[[nodiscard]] std::span<const CapabilityRule> extended_capability_rules() noexcept;

/// The rule for an id; what no table knows is hidden.
[[nodiscard]] const CapabilityRule& rule_of(std::uint8_t id) noexcept;
/// The same for an extended one. `vendor` is the vendor of a DVSEC, whose registers are hidden when
/// it is the CXL consortium.
[[nodiscard]] const CapabilityRule& extended_rule_of(std::uint16_t id,
                                                     std::uint16_t vendor) noexcept;

inline constexpr std::uint16_t kExtendedCapabilityDvsec = 0x23;
inline constexpr std::uint16_t kCxlVendor = 0x1e98;

}  // namespace cxlvm::vfio
