// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/capability_rules.hpp"

#include <algorithm>

namespace cxlvm::vfio {

namespace {

using enum Treatment;

// clang-format off
constexpr CapabilityRule kRules[] = {
    {0x01, Virtualised, "Power Management",
     "in D3hot the host's kernel takes the mappings of the BARs away; the guest's D3hot only stops DMA and interrupts"},
    {0x03, Passed, "Vital Product Data", "the host's kernel serves it"},
    {0x05, Virtualised, "MSI", "the host owns the real vectors; ours go through irqfds"},
    {0x09, Passed, "Vendor-Specific", "the device's own business"},
    {0x0d, ReadOnly, "Subsystem Vendor", "no register is writable"},
    {0x10, ReadOnly, "PCI Express",
     "the link is the host's; Device Control and Control 2 are written through the host's kernel"},
    {0x11, Virtualised, "MSI-X", "the host owns the real table; ours goes through irqfds"},
    {0x12, Passed, "SATA Data/Index", "the device's own business"},
    {0x13, Hidden, "Advanced Features", "its function level reset is not offered; the guest resets the bus by the port above"},
    {0x14, Hidden, "Enhanced Allocation", "base addresses that are fixed cannot be the guest's"},
    {0x15, Hidden, "Flattening Portal Bridge", "of bridges"},
};

constexpr CapabilityRule kExtendedRules[] = {
    {0x01, Hidden, "Advanced Error Reporting", "errors are reported to, and handled by, the host"},
    {0x02, ReadOnly, "Virtual Channel", "arbitration is the host's"},
    {0x03, ReadOnly, "Device Serial Number", "no register is writable"},
    {0x04, ReadOnly, "Power Budgeting", "describes the device"},
    {0x0b, Passed, "Vendor-Specific Extended", "the device's own business"},
    {0x0d, Hidden, "Access Control Services", "isolation is the host's"},
    {0x0e, Hidden, "Alternative Routing-ID", "names functions that the guest does not have"},
    {0x0f, Hidden, "Address Translation Services", "the guest has no IOMMU to translate by"},
    {0x10, Hidden, "Single Root I/O Virtualization", "virtual functions would be outside the IOMMU group"},
    {0x11, Hidden, "Multi-Root I/O Virtualization", "deprecated"},
    {0x12, Hidden, "Multicast", "reaches other devices of the host"},
    {0x13, Hidden, "Page Request Interface", "the guest has no IOMMU to ask"},
    {0x15, Hidden, "Resizable BAR", "the host has sized the BARs"},
    {0x16, ReadOnly, "Dynamic Power Allocation", "power is the host's"},
    {0x17, Hidden, "TPH Requester", "steering tags name processors of the host"},
    {0x18, ReadOnly, "Latency Tolerance Reporting", "the host sets it for its platform"},
    {0x19, ReadOnly, "Secondary PCI Express", "the link is the host's"},
    {0x1b, Hidden, "Process Address Space ID", "the guest has no IOMMU to translate by"},
    {0x1d, Hidden, "Downstream Port Containment", "of ports"},
    {0x1e, Hidden, "L1 PM Substates", "the link is the host's"},
    {0x1f, Hidden, "Precision Time Measurement", "needs every port above, which the guest does not see"},
    {0x23, Passed, "Designated Vendor-Specific", "the device's own business"},
    {0x24, Hidden, "VF Resizable BAR", "of virtual functions"},
    {0x25, Hidden, "Data Link Feature", "the link is the host's"},
    {0x26, ReadOnly, "Physical Layer 16.0 GT/s", "the link is the host's"},
    {0x27, ReadOnly, "Lane Margining", "the link is the host's"},
    {0x2a, ReadOnly, "Physical Layer 32.0 GT/s", "the link is the host's"},
    {0x2e, Hidden, "Data Object Exchange", "mailboxes speak for the host's security and CXL state"},
    {0x30, Hidden, "Integrity and Data Encryption", "keys and streams are the host's"},
};

constexpr CapabilityRule kCxl = {
    0x23, Hidden, "CXL DVSEC",
    "the host's kernel does not virtualise it, and its registers reset and disable the device's memory"};
constexpr CapabilityRule kUnknown = {0, Hidden, "unknown", "nobody knows what its registers reach"};
// clang-format on

template <std::size_t kCount>
[[nodiscard]] const CapabilityRule& find(const CapabilityRule (&rules)[kCount],
                                         std::uint16_t id) noexcept {
    const auto* const found = std::ranges::find(rules, id, &CapabilityRule::id);
    return found != std::end(rules) ? *found : kUnknown;
}

}  // namespace

std::span<const CapabilityRule> capability_rules() noexcept {
    return kRules;
}

std::span<const CapabilityRule> extended_capability_rules() noexcept {
    return kExtendedRules;
}

const CapabilityRule& rule_of(std::uint8_t id) noexcept {
    return find(kRules, id);
}

const CapabilityRule& extended_rule_of(std::uint16_t id, std::uint16_t vendor) noexcept {
    return id == kExtendedCapabilityDvsec && vendor == kCxlVendor ? kCxl : find(kExtendedRules, id);
}

}  // namespace cxlvm::vfio
