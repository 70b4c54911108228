// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>

namespace cxlvm {

/// An address of one space. Distinct per Tag: neither converts to another nor to a number by
/// itself.
template <typename Tag>
class Address {
  public:
    constexpr Address() noexcept = default;
    explicit constexpr Address(std::uint64_t value) noexcept : value_(value) {}

    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a 0 in what the compiler generates
    friend constexpr auto operator<=>(Address, Address) noexcept = default;

    /// This address plus `offset`, or nothing when that leaves the 64-bit space.
    [[nodiscard]] constexpr std::optional<Address> plus(std::uint64_t offset) const noexcept {
        if (offset > std::numeric_limits<std::uint64_t>::max() - value_) {
            return std::nullopt;
        }
        return Address(value_ + offset);
    }

  private:
    std::uint64_t value_ = 0;
};

/// Guest physical address.
using Gpa = Address<struct GpaTag>;
/// Device physical address: an offset into a CXL device's own memory (CXL 3.1, 8.2.4.20).
using Dpa = Address<struct DpaTag>;
/// Address that a device puts on the bus, translated by an IOMMU.
using Iova = Address<struct IovaTag>;
/// x86 I/O port.
using Port = Address<struct PortTag>;

/// A non-empty run of addresses, held as first and last so that it may reach the top of the space.
/// All arithmetic on guest addresses happens here.
template <typename A>
class Range {
  public:
    /// `size` bytes from `base`; nothing when `size` is 0 or the end does not fit into 64 bits.
    [[nodiscard]] static constexpr std::optional<Range> of(A base, std::uint64_t size) noexcept {
        if (size == 0) {
            return std::nullopt;
        }
        const auto last = base.plus(size - 1);
        if (!last) {
            return std::nullopt;
        }
        return Range(base, *last);
    }
    /// From `first` to `last` inclusive; nothing when they are out of order.
    [[nodiscard]] static constexpr std::optional<Range> between(A first, A last) noexcept {
        if (last < first) {
            return std::nullopt;
        }
        return Range(first, last);
    }

    [[nodiscard]] constexpr A base() const noexcept { return base_; }
    [[nodiscard]] constexpr A last() const noexcept { return last_; }
    /// Bytes; 0 stands for the whole 64-bit space, whose size does not fit.
    [[nodiscard]] constexpr std::uint64_t size() const noexcept {
        return last_.value() - base_.value() + 1;
    }
    [[nodiscard]] constexpr bool contains(A address) const noexcept {
        return base_ <= address && address <= last_;
    }
    [[nodiscard]] constexpr bool contains(Range other) const noexcept {
        return base_ <= other.base_ && other.last_ <= last_;
    }
    [[nodiscard]] constexpr bool overlaps(Range other) const noexcept {
        return base_ <= other.last_ && other.base_ <= last_;
    }
    /// Distance of `address` from the base; nothing when it lies outside.
    [[nodiscard]] constexpr std::optional<std::uint64_t> offset_of(A address) const noexcept {
        if (!contains(address)) {
            return std::nullopt;
        }
        return address.value() - base_.value();
    }
    [[nodiscard]] constexpr std::optional<Range> intersection(Range other) const noexcept {
        return between(base_ < other.base_ ? other.base_ : base_,
                       last_ < other.last_ ? last_ : other.last_);
    }
    friend constexpr bool operator==(Range, Range) noexcept = default;

  private:
    constexpr Range(A base, A last) noexcept : base_(base), last_(last) {}

    A base_;
    A last_;
};

using GpaRange = Range<Gpa>;
using PortRange = Range<Port>;

}  // namespace cxlvm

template <typename Tag>
struct fmt::formatter<cxlvm::Address<Tag>> {
    static constexpr auto parse(format_parse_context& context) { return context.begin(); }
    template <typename Context>
    auto format(cxlvm::Address<Tag> address, Context& context) const {
        return fmt::format_to(context.out(), "{:#x}", address.value());
    }
};

template <typename A>
struct fmt::formatter<cxlvm::Range<A>> {
    static constexpr auto parse(format_parse_context& context) { return context.begin(); }
    template <typename Context>
    auto format(const cxlvm::Range<A>& range, Context& context) const {
        return fmt::format_to(context.out(), "[{:#x}-{:#x}]", range.base().value(),
                              range.last().value());
    }
};
