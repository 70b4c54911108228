// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/balloon/statistics.hpp"

#include <cstddef>
#include <cstring>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::balloon {

Statistics parse_statistics(std::span<iovec> segments) noexcept {
    Statistics statistics;
    std::array<std::byte, kStatisticSize> bytes{};
    for (std::size_t i = 0; i < kMaxListed && take_front(segments, bytes); ++i) {
        std::uint16_t tag = 0;
        std::uint64_t value = 0;
        std::memcpy(&tag, bytes.data() + kStatisticTag, sizeof(tag));
        std::memcpy(&value, bytes.data() + kStatisticValue, sizeof(value));
        if (tag < kStatistics) {
            statistics.set(Statistic{tag}, value);
        }
    }
    return statistics;
}

}  // namespace cxlvm::virtio::balloon
