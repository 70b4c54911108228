// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory/address.hpp"

namespace cxlvm {

/// One piece of guest RAM: where the guest finds it and how far into the RAM it starts.
struct RamPiece {
    GpaRange range;
    std::uint64_t offset = 0;  ///< bytes
};

/// Places `size` bytes of RAM: from address 0 up to `hole_base`, the rest from `high_base` on; one
/// piece where the hole is empty. Nothing when `size` or `hole_base` is 0, the hole ends before it
/// begins, or the RAM would leave the 64-bit space.
[[nodiscard]] std::optional<std::vector<RamPiece>> place_ram(std::uint64_t size, Gpa hole_base,
                                                             Gpa high_base);

}  // namespace cxlvm
