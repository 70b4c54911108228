// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cxlvm::boot {

/// How the kernel inside a bzImage is packed (Linux: init/Kconfig, "Kernel compression mode").
enum class PayloadFormat : std::uint8_t { Gzip, Bzip2, Lzma, Xz, Lzo, Lz4, Zstd };

[[nodiscard]] std::string_view to_string(PayloadFormat format) noexcept;

/// By the first bytes (lib/decompress.c of Linux has the list); nothing when none fits.
[[nodiscard]] std::optional<PayloadFormat> identify_payload(
    std::span<const std::byte> start) noexcept;

/// Whether unpack() knows it.
[[nodiscard]] bool can_unpack(PayloadFormat format) noexcept;

/// Bytes at the start that identify_payload() wants to see.
inline constexpr std::size_t kPayloadMagicSize = 6;

/// Unpacks `payload`, which ends with its unpacked size in 4 bytes as Linux appends it (gzip has
/// it by itself), into `out`, which is exactly as long as that. Whatever the payload says, nothing
/// outside `out` is written and at most 256 MiB of further memory are used.
///
/// Throws Error naming `name`: Input when the payload is damaged, Host when memory is short.
void unpack(PayloadFormat format, std::span<const std::byte> payload, std::span<std::byte> out,
            const std::string& name);

}  // namespace cxlvm::boot
