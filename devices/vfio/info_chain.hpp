// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cxlvm::vfio {

/// One capability of an info structure (vfio_info_cap_header), header included. It reaches to the
/// next one or to the end of the structure.
struct InfoCapability {
    std::uint16_t id = 0;
    std::uint16_t version = 0;
    std::span<const std::byte> bytes;
};

/// Walks the chain that begins at `first` within `info`, the bytes that the kernel filled; 0 is no
/// chain. `least` is the size of the structure's fixed part, where no capability can lie. The
/// kernel links capabilities in ascending order, so one that leads back is refused, which also
/// bounds the walk. Nothing when the chain leaves the structure, goes back, or is misaligned.
[[nodiscard]] std::optional<std::vector<InfoCapability>> info_chain(std::span<const std::byte> info,
                                                                    std::uint32_t first,
                                                                    std::size_t least);

}  // namespace cxlvm::vfio
