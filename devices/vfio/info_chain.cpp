// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/info_chain.hpp"

#include <cstring>

#include "devices/vfio/uapi.hpp"
#include "io/bits.hpp"

namespace cxlvm::vfio {

std::optional<std::vector<InfoCapability>> info_chain(std::span<const std::byte> info,
                                                      std::uint32_t first, std::size_t least) {
    std::vector<InfoCapability> chain;
    std::size_t end_of_last = least;
    for (std::size_t at = first; at != 0;) {
        if (at < end_of_last || at > info.size() ||
            info.size() - at < sizeof(vfio_info_cap_header) ||
            !io::is_aligned<std::size_t>(at, alignof(vfio_info_cap_header))) {
            return std::nullopt;
        }
        vfio_info_cap_header header{};
        std::memcpy(&header, info.data() + at, sizeof(header));
        std::size_t end = info.size();
        if (header.next != 0) {
            if (header.next > info.size() || header.next < at + sizeof(header)) {
                return std::nullopt;
            }
            end = header.next;
        }
        chain.push_back(
            {.id = header.id, .version = header.version, .bytes = info.subspan(at, end - at)});
        end_of_last = end;
        at = header.next;
    }
    return chain;
}

}  // namespace cxlvm::vfio
