// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

#include "io/error.hpp"

namespace cxlvm {

/// The 16-byte FIFO of a 16550A. Not thread-safe.
class ByteFifo {
  public:
    static constexpr std::size_t kCapacity = 16;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::byte front() const noexcept {
        io::check(!empty(), "ByteFifo: front of an empty FIFO");
        return bytes_[head_];
    }

    /// The FIFO must not be full.
    void push(std::byte value) noexcept {
        io::check(size_ < kCapacity, "ByteFifo: push to a full FIFO");
        bytes_[(head_ + size_) % kCapacity] = value;
        ++size_;
    }
    /// Drops the oldest `count` bytes, which must be there.
    void pop(std::size_t count) noexcept {
        io::check(count <= size_, "ByteFifo: pop of more than there is");
        head_ = (head_ + count) % kCapacity;
        size_ -= count;
    }
    /// Copies the oldest bytes, as many as fit, and returns how many; they stay.
    std::size_t peek(std::span<std::byte> to) const noexcept {
        const std::size_t count = std::min(to.size(), size_);
        for (std::size_t i = 0; i < count; ++i) {
            to[i] = bytes_[(head_ + i) % kCapacity];
        }
        return count;
    }
    void clear() noexcept { size_ = 0; }

  private:
    std::array<std::byte, kCapacity> bytes_{};
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace cxlvm
