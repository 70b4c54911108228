// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/mapping.hpp"

namespace cxlvm {

/// A bounded queue of bytes. Its memory is committed as far as it was ever filled, and filled from
/// the start again whenever it was empty, so a large one that drains quickly costs little.
/// Not thread-safe.
class ByteRing {
  public:
    /// `what` names the purpose in the io::Error of a failure.
    ByteRing(std::size_t capacity, const std::string& what);

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t room() const noexcept { return memory_.size() - size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

    /// Copies what fits of `data`; returns how much.
    std::size_t append(std::span<const std::byte> data) noexcept;
    /// The oldest bytes that lie together, valid until they are consumed; empty when there is none.
    [[nodiscard]] std::span<const std::byte> front() const noexcept;
    /// Removes the oldest `count` bytes, at most size().
    void consume(std::size_t count) noexcept;

  private:
    io::Mapping memory_;
    std::size_t start_ = 0;
    std::size_t size_ = 0;
};

}  // namespace cxlvm
