// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/virtio/balloon/spec.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio::balloon {

/// Some of the pages that a driver lists by number (5.5.6), as runs of host memory: in ascending
/// order, each page once.
class PageBatch {
  public:
    /// Pages of one batch: what Linux lists at once.
    static constexpr std::size_t kMaxPages = 256;

    /// Takes page numbers off the front of `segments`, as many as fit or there are. Bytes at the
    /// end that make no page number are dropped.
    void take(std::span<iovec>& segments, const GuestMemory& memory) noexcept;

    [[nodiscard]] std::span<const std::span<std::byte>> runs() const noexcept {
        return std::span(runs_).first(run_count_);
    }
    /// Page numbers of the batch that are not RAM, and in no run.
    [[nodiscard]] std::size_t outside() const noexcept { return outside_; }

  private:
    std::array<std::byte*, kMaxPages> pages_{};
    std::array<std::span<std::byte>, kMaxPages> runs_{};
    std::size_t run_count_ = 0;
    std::size_t outside_ = 0;
};

}  // namespace cxlvm::virtio::balloon
