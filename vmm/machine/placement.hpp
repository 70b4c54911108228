// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "memory/address.hpp"

namespace cxlvm {

/// Where the guest's physical address space has room for devices; what is fixed stands in
/// vmm/layout.hpp.
struct Placement {
    GpaRange mmio32;  ///< window for 32-bit BARs, below 4 GiB
    GpaRange mmio64;  ///< window for 64-bit BARs, above all RAM
};

/// Places the windows for a guest with RAM up to `last_ram` and `address_bits` bits of physical
/// address. A pure function. Throws io::Error (Input) when RAM leaves no room.
///
/// The 64-bit window is the upper half of the address space, or what RAM leaves of it, so BARs of
/// any size that exists fit at a natural alignment, and RAM can grow without moving it.
[[nodiscard]] Placement place(Gpa last_ram, unsigned address_bits);

/// Divides windows among `count` host bridges, from the lowest addresses on. Each share but for the
/// ends is a power of two and lies at a multiple of its size, so that a BAR of any size up to that
/// fits; the whole is divided with nothing left over. A pure function. Throws io::Error (Input)
/// when a share of the 64-bit window would be below 1 GiB.
[[nodiscard]] std::vector<Placement> share(const Placement& windows, std::size_t count);

}  // namespace cxlvm
