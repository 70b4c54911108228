// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace cxlvm::boot {

/// A 256-bit digest: the name of a cache entry.
using Digest = std::array<std::byte, 32>;

/// 64 lower-case hexadecimal digits.
[[nodiscard]] std::string to_hex(const Digest& digest);

/// BLAKE2b-256 without a key (RFC 7693). Collisions must be infeasible: a crafted kernel must not
/// take the place of another one in the cache. Of the hashes for which that holds it is the
/// fastest without special instructions.
class Blake2b {
  public:
    Blake2b() noexcept;

    void update(std::span<const std::byte> bytes) noexcept;
    /// The digest of all bytes; call once, last.
    [[nodiscard]] Digest finish() noexcept;

    [[nodiscard]] static Digest of(std::span<const std::byte> bytes) noexcept;

  private:
    static constexpr std::size_t kBlockSize = 128;

    void compress(const std::byte* block, bool last) noexcept;

    std::array<std::uint64_t, 8> chain_;
    std::uint64_t count_ = 0;  ///< bytes compressed; 64 bits are enough for files
    std::array<std::byte, kBlockSize> pending_{};
    std::size_t pending_size_ = 0;
};

}  // namespace cxlvm::boot
