// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace cxlvm::acpi {

/// The bytes of a finished table.
using TableBytes = std::vector<std::byte>;

inline constexpr std::string_view kOemId = "CXLVM ";         ///< 6 characters
inline constexpr std::string_view kOemTableId = "CXLVM   ";  ///< 8 characters

/// Sum of all bytes, modulo 256: 0 for a table that is whole (ACPI 6.5, 5.2.6).
[[nodiscard]] std::uint8_t byte_sum(std::span<const std::byte> bytes) noexcept;

/// Appends little-endian numbers and text.
class Writer {
  public:
    template <std::unsigned_integral T>
    Writer& put(T value) {
        for (unsigned shift = 0; shift < sizeof(T) * 8; shift += 8) {
            bytes_.push_back(static_cast<std::byte>(value >> shift));
        }
        return *this;
    }
    Writer& text(std::string_view characters);
    Writer& bytes(std::span<const std::uint8_t> bytes);
    Writer& zeros(std::size_t count);
    /// Generic Address Structure of a byte-wide register in I/O port space (5.2.3.2).
    Writer& io_register(std::uint16_t port);

    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

  protected:
    TableBytes bytes_;
};

/// A table with the common header (ACPI 6.5, 5.2.6): signature, length, revision, checksum, OEM.
class Table : public Writer {
  public:
    Table(std::string_view signature, std::uint8_t revision);

    /// The whole table, its length and checksum filled in.
    [[nodiscard]] TableBytes finish() &&;
};

}  // namespace cxlvm::acpi
