// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace cxlvm::boot {

/// Bytes at the start that describe_foreign() wants to see; fewer will do.
inline constexpr std::size_t kForeignMagicSize = 64;

/// What a file that is neither a bzImage nor an ELF file is instead, and what to do about it, from
/// its first bytes: the end of a sentence that begins with its name.
[[nodiscard]] std::string_view describe_foreign(std::span<const std::byte> start) noexcept;

}  // namespace cxlvm::boot
