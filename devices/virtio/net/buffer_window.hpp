// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/virtio/split_queue.hpp"

namespace cxlvm::virtio::net {

/// Receive buffers in the order of their ring, with all their segments side by side as readv(2)
/// takes them: used at the front, added behind. Nothing allocates after construction.
class BufferWindow {
  public:
    struct Buffer {
        std::uint16_t head = 0;
        std::uint16_t segments = 0;
        std::uint64_t bytes = 0;
    };

    /// Chains of more segments cannot be added.
    static constexpr std::size_t kMaxChainSegments = 256;

    BufferWindow();

    /// Whether there is room for another chain, whatever it is like.
    [[nodiscard]] bool takes_more() const noexcept {
        return buffers() < kMaxBuffers && segments() + kMaxChainSegments <= kMaxSegments;
    }
    /// Adds the writable part of `chain`. Only when takes_more().
    void push(const Chain& chain) noexcept;
    void pop_front() noexcept;
    void clear() noexcept;

    [[nodiscard]] bool empty() const noexcept { return buffers() == 0; }
    [[nodiscard]] std::size_t buffers() const noexcept { return end_buffer_ - first_buffer_; }
    [[nodiscard]] const Buffer& at(std::size_t index) const noexcept {
        return buffers_[first_buffer_ + index];
    }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

    /// The segments of all buffers, and `tail` behind them; until the window is changed. They may
    /// be changed, as far as their buffers are popped before this is asked again.
    [[nodiscard]] std::span<iovec> segments_with(std::span<std::byte> tail) noexcept;

  private:
    // One more segment for the tail, and one that a port may add, are below the 1024 of readv(2).
    static constexpr std::size_t kMaxSegments = 768;
    static constexpr std::size_t kMaxBuffers = 256;

    [[nodiscard]] std::size_t segments() const noexcept { return end_segment_ - first_segment_; }

    // Twice what is in use at most, so that moving it to the front is rare.
    std::vector<Buffer> buffers_;
    std::vector<iovec> segments_;
    std::size_t first_buffer_ = 0;
    std::size_t end_buffer_ = 0;
    std::size_t first_segment_ = 0;
    std::size_t end_segment_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace cxlvm::virtio::net
