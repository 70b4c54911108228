// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>

namespace cxlvm::io {

template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_power_of_two(T value) noexcept {
    return std::has_single_bit(value);
}

/// Rounds down to a multiple of `alignment`, a power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_down(T value, std::type_identity_t<T> alignment) noexcept {
    return static_cast<T>(value & ~(alignment - 1));
}

/// Rounds up to a multiple of `alignment`, a power of two; wraps to 0 past the top of T.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_up(T value, std::type_identity_t<T> alignment) noexcept {
    return align_down<T>(static_cast<T>(value + (alignment - 1)), alignment);
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_aligned(T value, std::type_identity_t<T> alignment) noexcept {
    return (value & (alignment - 1)) == 0;
}

/// `a + b`, or nothing when the sum does not fit.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, std::type_identity_t<T> b) noexcept {
    if (b > std::numeric_limits<T>::max() - a) {
        return std::nullopt;
    }
    return static_cast<T>(a + b);
}

template <typename E>
requires std::is_enum_v<E>
[[nodiscard]] constexpr std::underlying_type_t<E> to_underlying(E value) noexcept {
    return static_cast<std::underlying_type_t<E>>(value);
}

}  // namespace cxlvm::io
