// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/config_space.hpp"
#include "devices/pci/msix.hpp"
#include "devices/pci/spec.hpp"
#include "devices/vfio/capability_rules.hpp"

namespace cxlvm::vfio {

/// A capability that a device has.
struct FoundCapability {
    std::uint16_t id = 0;
    std::uint16_t offset = 0;
    std::uint16_t size = 0;  ///< header included; what no table knows reaches to the next one
    std::uint8_t version = 0;
    const CapabilityRule* rule = nullptr;

    [[nodiscard]] bool extended() const noexcept { return offset >= pci::kLegacyConfigSize; }
};

/// What a guest is to see of a device's configuration space: which bits are the device's own and
/// which ours. Made of the bytes that the host's kernel shows, which are not trusted: chains that
/// loop or lead nowhere end where they do so.
struct ConfigPlan {
    pci::Identity identity{};
    /// Base address registers, as they read: their flags count.
    std::array<std::uint32_t, pci::kBarCount> bars{};
    std::vector<FoundCapability> capabilities{};  ///< all, hidden ones too, in the order of chains

    struct MsixPart {
        std::uint16_t offset = 0;
        std::uint16_t vectors = 0;
        pci::MsixPlace place{};
    };
    std::optional<MsixPart> msix{};
    struct MsiPart {
        std::uint16_t offset = 0;  ///< where ours goes, which is larger than some devices'
        std::uint8_t vectors = 0;
    };
    std::optional<MsiPart> msi{};
    std::uint16_t power = 0;    ///< offset of Power Management; 0: none
    std::uint16_t express = 0;  ///< offset of PCI Express; 0: conventional PCI

    using Mask = std::array<std::uint8_t, pci::kConfigSpaceSize>;
    Mask read{};     ///< bits that are read from the device
    Mask written{};  ///< bytes that are written to the device, too
};

/// Plans for a device whose configuration space reads as `config`, 256 or 4096 bytes. Throws
/// io::Error naming the device as `name` when it does not answer, is no endpoint, or has an MSI-X
/// capability that is cut short, so that nobody knows where the table is.
[[nodiscard]] ConfigPlan plan_config(std::span<const std::byte> config, const std::string& name);

}  // namespace cxlvm::vfio
