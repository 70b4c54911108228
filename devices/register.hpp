// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <type_traits>

namespace cxlvm {

/// Bits Hi..Lo of a register, inclusive, as the standards print them; T is the value's type.
///
///     constexpr Field<bool, 1, 1> kCommitted;
template <typename T, unsigned Hi, unsigned Lo>
struct Field {
    static_assert(Hi >= Lo && Hi < 64);
    using Value = T;
    static constexpr unsigned kHigh = Hi;
    static constexpr unsigned kLow = Lo;

    template <std::unsigned_integral Rep>
    [[nodiscard]] static constexpr Rep mask() noexcept {
        static_assert(Hi < sizeof(Rep) * 8);
        constexpr unsigned kWidth = Hi - Lo + 1;
        constexpr Rep kOnes = kWidth == sizeof(Rep) * 8
                                  ? static_cast<Rep>(~Rep{0})
                                  : static_cast<Rep>((Rep{1} << (kWidth % (sizeof(Rep) * 8))) - 1U);
        return static_cast<Rep>(kOnes << Lo);
    }
};

/// A register's value: a snapshot, changed by building a new one.
template <std::unsigned_integral Rep>
struct Register {
    Rep raw = 0;

    template <typename T, unsigned Hi, unsigned Lo>
    [[nodiscard]] constexpr T get(Field<T, Hi, Lo> field) const noexcept {
        return static_cast<T>((raw & field.template mask<Rep>()) >> Lo);
    }
    /// Excess bits of `value` are cut off.
    template <typename T, unsigned Hi, unsigned Lo>
    [[nodiscard]] constexpr Register with(Field<T, Hi, Lo> field,
                                          std::type_identity_t<T> value) const noexcept {
        constexpr Rep kMask = Field<T, Hi, Lo>::template mask<Rep>();
        (void)field;
        const auto shifted = static_cast<Rep>(static_cast<Rep>(value) << Lo);
        return {static_cast<Rep>((raw & static_cast<Rep>(~kMask)) | (shifted & kMask))};
    }
    friend constexpr bool operator==(Register, Register) noexcept = default;
};

/// The mask of several fields together: what a specification table calls writable, say.
template <std::unsigned_integral Rep, typename... Fields>
[[nodiscard]] constexpr Rep mask_of(Fields...) noexcept {
    return static_cast<Rep>((Rep{0} | ... | Fields::template mask<Rep>()));
}

}  // namespace cxlvm
