// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace cxlvm::virtio::vsock {

/// A ring of bytes between the guest and a reader on the host, in memory of somebody else's. It is
/// filled from the start whenever it was empty, so that what drains quickly touches few pages.
class StreamBuffer {
  public:
    /// Pages, a power of two in bytes; it outlives this.
    explicit StreamBuffer(std::span<std::byte> memory) noexcept : memory_(memory) {}

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    /// Copies all of `segments` behind, or in front of, what is there. There must be room.
    void append(std::span<const iovec> segments) noexcept;
    void prepend(std::span<const iovec> segments) noexcept;
    /// All bytes, in order; valid until the next change. Not more elements than needed.
    [[nodiscard]] std::span<iovec> bytes(std::span<iovec, 2> out) const noexcept;
    /// Removes the first `count` bytes, at most size().
    void drop(std::size_t count) noexcept;
    /// Empties it, and gives pages that were written back to the host.
    void release() noexcept;

  private:
    void copy_in(std::size_t position, const iovec& segment) noexcept;
    [[nodiscard]] std::size_t wrap(std::size_t position) const noexcept {
        return position & (memory_.size() - 1);
    }

    std::span<std::byte> memory_;
    std::size_t start_ = 0;
    std::size_t size_ = 0;
    bool touched_ = false;
};

}  // namespace cxlvm::virtio::vsock
