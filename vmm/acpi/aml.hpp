// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

/// A builder for ACPI Machine Language (ACPI 6.5, chapter 20). Every function returns the bytes of
/// one term; terms nest as the language nests:
///
///     scope("\\_SB", {device("PWRB", {name("_HID", eisa_id("PNP0C0C"))})})
///
/// What we build is fixed but for a few numbers, so a malformed name is a broken invariant of ours
/// and aborts.
namespace cxlvm::acpi::aml {

/// The bytes of one term, or of several in a row.
class Term {
  public:
    Term() = default;
    Term(std::initializer_list<Term> terms);
    explicit Term(std::vector<std::uint8_t> bytes) noexcept : bytes_(std::move(bytes)) {}

    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    void reserve(std::size_t size) { bytes_.reserve(size); }  ///< room for that many bytes in all
    Term& append(const Term& term);
    Term& append_byte(std::uint8_t byte);

  private:
    std::vector<std::uint8_t> bytes_;
};

using Terms = std::initializer_list<Term>;

/// PkgLength (20.2.4) in front of `content` bytes: it counts its own bytes too. At most 2^28 - 1 in
/// all.
[[nodiscard]] Term package_length(std::size_t content);
/// The same encoding without counting itself: the width of a field in bits (20.2.5.2).
[[nodiscard]] Term field_length(std::uint32_t bits);
/// NameString (20.2.2): segments of up to four of [A-Z0-9_], separated by dots, after an optional
/// root '\' or parent '^' prefix. Shorter segments are padded.
[[nodiscard]] Term name_string(std::string_view path);

// Data (20.2.3).
[[nodiscard]] Term integer(std::uint64_t value);  ///< in the shortest encoding
[[nodiscard]] Term string(std::string_view text);
[[nodiscard]] Term buffer(std::span<const std::uint8_t> bytes);
[[nodiscard]] Term package(Terms elements);
/// The same of `count` elements that stand in one Term.
[[nodiscard]] Term package(std::size_t count, const Term& elements);
/// A device id such as "PNP0A08", compressed (19.3.4, EISAID).
[[nodiscard]] Term eisa_id(std::string_view id);
/// A buffer in the byte order of ToUUID (19.6.142); `text` is aabbccdd-eeff-gghh-iijj-kkllmmnnoopp.
[[nodiscard]] Term uuid(std::string_view text);

// Objects in the namespace (20.2.5).
[[nodiscard]] Term name(std::string_view path, const Term& value);
[[nodiscard]] Term scope(std::string_view path, Terms terms);
[[nodiscard]] Term device(std::string_view path, Terms terms);
/// Serialized, so that it may create objects of its own.
[[nodiscard]] Term method(std::string_view path, unsigned arguments, Terms terms);
/// A region in I/O port space.
[[nodiscard]] Term io_region(std::string_view path, std::uint16_t port, std::uint16_t length);

struct FieldUnit {
    std::string_view name;
    std::uint32_t bits;
};
/// Byte-wide access; bits of a byte that are not written are written as zeros.
[[nodiscard]] Term field(std::string_view region, std::initializer_list<FieldUnit> units);
/// Names the 32 bits of `buffer` at byte offset `index`.
[[nodiscard]] Term create_dword_field(const Term& buffer, std::uint64_t index,
                                      std::string_view path);

// Statements and expressions (20.2.5.3, 20.2.5.4).
[[nodiscard]] Term argument(unsigned number);
[[nodiscard]] Term local(unsigned number);
[[nodiscard]] Term if_then(const Term& condition, Terms terms);
/// Belongs right behind an if_then().
[[nodiscard]] Term otherwise(Terms terms);
[[nodiscard]] Term equal(const Term& left, const Term& right);
[[nodiscard]] Term logical_not(const Term& operand);
/// A bitwise operation that yields its result and stores it in `target`; an empty Term drops it.
[[nodiscard]] Term bit_and(const Term& left, const Term& right, const Term& target);
[[nodiscard]] Term bit_or(const Term& left, const Term& right, const Term& target);
[[nodiscard]] Term store(const Term& value, const Term& target);
[[nodiscard]] Term notify(const Term& object, std::uint64_t value);
[[nodiscard]] Term give_back(const Term& value);  ///< Return

}  // namespace cxlvm::acpi::aml
