// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

// Taking chains apart. A driver may split its requests into elements as it likes (virtio 1.2,
// 2.7.4.1): nothing here minds where one ends. All bytes belong to the guest and change under us.

namespace cxlvm::virtio {

/// Bytes of all segments.
[[nodiscard]] std::uint64_t total_bytes(std::span<const iovec> segments) noexcept;

/// Copies the first bytes into `out` and cuts them off. False, and nothing is changed, when there
/// are fewer.
[[nodiscard]] bool take_front(std::span<iovec>& segments, std::span<std::byte> out) noexcept;

/// Copies `data` over the first bytes and cuts them off. False, and nothing is changed, when there
/// are fewer.
[[nodiscard]] bool fill_front(std::span<iovec>& segments, std::span<const std::byte> data) noexcept;

/// Cuts off the first `size` bytes, or all when there are fewer.
void drop_front(std::span<iovec>& segments, std::uint64_t size) noexcept;

/// Cuts off all but the first `size` bytes; nothing when there are fewer.
void keep_front(std::span<iovec>& segments, std::uint64_t size) noexcept;

/// Describes the bytes from `offset` on in `out`, at most `size` of them and as far as `out` has
/// elements, and leaves `segments` alone. The part of `out` that is used.
[[nodiscard]] std::span<iovec> slice(std::span<const iovec> segments, std::uint64_t offset,
                                     std::uint64_t size, std::span<iovec> out) noexcept;

/// Cuts off the last byte and says where it is; null when there is none.
[[nodiscard]] std::byte* take_last(std::span<iovec>& segments) noexcept;

}  // namespace cxlvm::virtio
