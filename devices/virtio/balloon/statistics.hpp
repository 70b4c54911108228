// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/virtio/balloon/spec.hpp"

namespace cxlvm::virtio::balloon {

/// What a guest says of its memory. It may say anything.
class Statistics {
  public:
    /// Nothing when the guest did not say.
    [[nodiscard]] std::optional<std::uint64_t> get(Statistic tag) const noexcept {
        return values_[static_cast<std::size_t>(tag)];
    }
    void set(Statistic tag, std::uint64_t value) noexcept {
        values_[static_cast<std::size_t>(tag)] = value;
    }

  private:
    std::array<std::optional<std::uint64_t>, kStatistics> values_;
};

/// Takes a driver's list apart: kMaxListed of its elements, tags that are not known left out, the
/// last of the same tag counting.
inline constexpr std::size_t kMaxListed = 64;
[[nodiscard]] Statistics parse_statistics(std::span<iovec> segments) noexcept;

}  // namespace cxlvm::virtio::balloon
