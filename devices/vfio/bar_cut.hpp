// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/vfio/vfio_device.hpp"

namespace cxlvm::vfio {

/// A piece of a BAR, and how the guest reaches it.
struct BarCut {
    enum class Kind : std::uint8_t {
        Memory,   ///< mapped: no exit
        Trapped,  ///< each access is read from or written to the device file
        Table,    ///< our MSI-X table
        Pending,  ///< our MSI-X pending bits
        Absent,   ///< the real MSI-X structures, where the guest gets none of ours
    };
    Kind kind = Kind::Trapped;
    RegionArea area{};

    friend bool operator==(const BarCut&, const BarCut&) = default;
};

/// Cuts a BAR of `size` bytes into pieces, in ascending order and without gaps. Memory is what
/// `mappable`, ascending and apart, allows, less the pages that the MSI-X structures are in: a
/// guest that wrote the real table would raise interrupts of the host. Nothing when a structure
/// leaves the BAR or they overlap.
[[nodiscard]] std::optional<std::vector<BarCut>> cut_bar(std::uint64_t size,
                                                         std::span<const RegionArea> mappable,
                                                         std::optional<RegionArea> table,
                                                         std::optional<RegionArea> pending);

}  // namespace cxlvm::vfio
