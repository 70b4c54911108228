// SPDX-License-Identifier: Apache-2.0
#include "memory/ram_layout.hpp"

#include <algorithm>

namespace cxlvm {

std::optional<std::vector<RamPiece>> place_ram(std::uint64_t size, Gpa hole_base, Gpa high_base) {
    if (hole_base.value() == 0 || high_base < hole_base) {
        return std::nullopt;
    }
    const bool no_hole = hole_base == high_base;
    const std::uint64_t low_size = no_hole ? size : std::min(size, hole_base.value());
    const auto low = GpaRange::of(Gpa(0), low_size);
    if (!low) {
        return std::nullopt;
    }
    std::vector<RamPiece> pieces{{.range = *low, .offset = 0}};
    if (low_size != size) {
        const auto high = GpaRange::of(high_base, size - low_size);
        if (!high) {
            return std::nullopt;
        }
        pieces.push_back({.range = *high, .offset = low_size});
    }
    return pieces;
}

}  // namespace cxlvm
