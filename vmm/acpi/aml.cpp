// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/aml.hpp"

#include <algorithm>
#include <limits>

#include "io/error.hpp"

namespace cxlvm::acpi::aml {
namespace {

// Encodings of ACPI 6.5, 20.3 (table 20.2).
enum Op : std::uint8_t {
    kZeroOp = 0x00,
    kOneOp = 0x01,
    kNameOp = 0x08,
    kBytePrefix = 0x0a,
    kWordPrefix = 0x0b,
    kDWordPrefix = 0x0c,
    kStringPrefix = 0x0d,
    kQWordPrefix = 0x0e,
    kScopeOp = 0x10,
    kBufferOp = 0x11,
    kPackageOp = 0x12,
    kMethodOp = 0x14,
    kDualNamePrefix = 0x2e,
    kMultiNamePrefix = 0x2f,
    kExtendedPrefix = 0x5b,
    kLocal0Op = 0x60,
    kArg0Op = 0x68,
    kStoreOp = 0x70,
    kAndOp = 0x7b,
    kOrOp = 0x7d,
    kNotifyOp = 0x86,
    kCreateDWordFieldOp = 0x8a,
    kLNotOp = 0x92,
    kLEqualOp = 0x93,
    kIfOp = 0xa0,
    kElseOp = 0xa1,
    kReturnOp = 0xa4,
};
// After kExtendedPrefix.
enum ExtendedOp : std::uint8_t {
    kRegionOp = 0x80,
    kFieldOp = 0x81,
    kDeviceOp = 0x82,
};

constexpr std::size_t kPackageLengthLimit = std::size_t{1} << 28;
constexpr std::size_t kSegmentSize = 4;
constexpr unsigned kArguments = 7;
constexpr unsigned kLocals = 8;
constexpr std::uint8_t kSystemIo = 1;            // RegionSpace
constexpr std::uint8_t kSerialized = 1U << 3;    // MethodFlags
constexpr std::uint8_t kByteAccess = 1;          // FieldFlags 3:0
constexpr std::uint8_t kWriteAsZeros = 2U << 5;  // FieldFlags 6:5

Term op(std::uint8_t code) {
    Term term;
    term.append_byte(code);
    return term;
}

Term extended(std::uint8_t code) {
    Term term = op(kExtendedPrefix);
    term.append_byte(code);
    return term;
}

/// One after the other. The list that the constructor of Term takes would be one of copies.
template <typename... Parts>
Term join(const Parts&... terms) {
    Term result;
    result.reserve((terms.size() + ...));
    (result.append(terms), ...);
    return result;
}

/// `code`, a PkgLength, then the content.
template <typename... Parts>
Term sized(const Term& code, const Parts&... content) {
    return join(code, package_length((content.size() + ...)), content...);
}

Term little_endian(std::uint64_t value, unsigned bytes) {
    Term term;
    for (unsigned i = 0; i < bytes; ++i) {
        term.append_byte(static_cast<std::uint8_t>(value >> (8 * i)));
    }
    return term;
}

/// PkgLength for a total of `length` written in `follow` bytes after the lead byte (20.2.4).
Term encoded_length(std::size_t length, unsigned follow) {
    if (follow == 0) {
        return op(static_cast<std::uint8_t>(length));
    }
    Term term = op(static_cast<std::uint8_t>(follow << 6 | (length & 0xf)));
    return term.append(little_endian(length >> 4, follow));
}

/// The most that a PkgLength with `follow` further bytes can say.
constexpr std::size_t length_limit(unsigned follow) {
    return follow == 0 ? 0x3f : (std::size_t{1} << (4 + 8 * follow)) - 1;
}

bool is_name_character(char c, bool first) {
    return (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

Term name_segment(std::string_view segment) {
    io::check(!segment.empty() && segment.size() <= kSegmentSize, "AML name segment is too long");
    Term term;
    for (std::size_t i = 0; i < kSegmentSize; ++i) {
        const char c = i < segment.size() ? segment[i] : '_';
        io::check(is_name_character(c, i == 0), "AML name has a character outside [A-Z0-9_]");
        term.append_byte(static_cast<std::uint8_t>(c));
    }
    return term;
}

std::uint8_t hex_digit(char c) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const std::size_t value = kDigits.find(c);
    io::check(value != std::string_view::npos, "not a hexadecimal digit");
    return static_cast<std::uint8_t>(value);
}

}  // namespace

Term::Term(std::initializer_list<Term> terms) {
    std::size_t size = 0;
    for (const Term& term : terms) {
        size += term.size();
    }
    bytes_.reserve(size);
    for (const Term& term : terms) {
        append(term);
    }
}

Term& Term::append(const Term& term) {
    bytes_.insert(bytes_.end(), term.bytes_.begin(), term.bytes_.end());
    return *this;
}

Term& Term::append_byte(std::uint8_t byte) {
    constexpr std::size_t kUsual = 24;  // most terms are no longer; the smallest block of malloc()
    if (bytes_.capacity() == 0) {
        bytes_.reserve(kUsual);
    }
    bytes_.push_back(byte);
    return *this;
}

Term package_length(std::size_t content) {
    io::check(content < kPackageLengthLimit, "AML package exceeds 256 MiB");
    unsigned follow = 0;
    while (content + 1 + follow > length_limit(follow)) {
        ++follow;
        io::check(follow <= 3, "AML package exceeds 256 MiB");
    }
    return encoded_length(content + 1 + follow, follow);
}

Term field_length(std::uint32_t bits) {
    unsigned follow = 0;
    while (bits > length_limit(follow)) {
        ++follow;
        io::check(follow <= 3, "AML field is wider than 2^28 bits");
    }
    return encoded_length(bits, follow);
}

Term name_string(std::string_view path) {
    Term term;
    while (!path.empty() && (path.front() == '\\' || path.front() == '^')) {
        term.append_byte(static_cast<std::uint8_t>(path.front()));
        path.remove_prefix(1);
    }
    if (path.empty()) {
        return term.append_byte(0);  // NullName: the prefix alone
    }
    const auto segments = static_cast<std::size_t>(std::ranges::count(path, '.')) + 1;
    io::check(segments <= std::numeric_limits<std::uint8_t>::max(), "AML path is too deep");
    if (segments == 2) {
        term.append_byte(kDualNamePrefix);
    } else if (segments > 2) {
        term.append_byte(kMultiNamePrefix).append_byte(static_cast<std::uint8_t>(segments));
    }
    for (std::size_t i = 0; i < segments; ++i) {
        const std::size_t dot = path.find('.');
        term.append(name_segment(path.substr(0, dot)));
        path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
    }
    return term;
}

Term integer(std::uint64_t value) {
    if (value <= 1) {
        return op(value == 0 ? kZeroOp : kOneOp);
    }
    if (value <= std::numeric_limits<std::uint8_t>::max()) {
        return join(op(kBytePrefix), little_endian(value, 1));
    }
    if (value <= std::numeric_limits<std::uint16_t>::max()) {
        return join(op(kWordPrefix), little_endian(value, 2));
    }
    if (value <= std::numeric_limits<std::uint32_t>::max()) {
        return join(op(kDWordPrefix), little_endian(value, 4));
    }
    return join(op(kQWordPrefix), little_endian(value, 8));
}

Term string(std::string_view text) {
    Term term = op(kStringPrefix);
    for (const char c : text) {
        io::check(c >= 0x01, "AML strings are ASCII without NUL");
        term.append_byte(static_cast<std::uint8_t>(c));
    }
    return term.append_byte(0);
}

Term buffer(std::span<const std::uint8_t> bytes) {
    return sized(op(kBufferOp), integer(bytes.size()), Term({bytes.begin(), bytes.end()}));
}

Term package(Terms elements) {
    return package(elements.size(), Term(elements));
}

Term package(std::size_t count, const Term& elements) {
    io::check(count <= std::numeric_limits<std::uint8_t>::max(),
              "AML package has more than 255 elements");
    return sized(op(kPackageOp), op(static_cast<std::uint8_t>(count)), elements);
}

Term eisa_id(std::string_view id) {
    io::check(id.size() == 7, "an EISA id is three letters and four digits");
    std::uint32_t value = 0;
    for (const char c : id.substr(0, 3)) {
        io::check(c >= 'A' && c <= 'Z', "an EISA id begins with three capital letters");
        value = value << 5 | static_cast<std::uint32_t>(c - 'A' + 1);
    }
    for (const char c : id.substr(3)) {
        value = value << 4 | hex_digit(c);
    }
    // Big-endian in memory (19.3.4).
    Term term = op(kDWordPrefix);
    for (int shift = 24; shift >= 0; shift -= 8) {
        term.append_byte(static_cast<std::uint8_t>(value >> shift));
    }
    return term;
}

Term uuid(std::string_view text) {
    io::check(text.size() == 36, "a UUID has 36 characters");
    // Where the bytes of the buffer stand in the text: the first three groups are little-endian.
    constexpr std::array<std::size_t, 16> kPositions{6,  4,  2,  0,  11, 9,  16, 14,
                                                     19, 21, 24, 26, 28, 30, 32, 34};
    std::array<std::uint8_t, 16> bytes{};
    std::ranges::transform(kPositions, bytes.begin(), [text](std::size_t position) {
        return static_cast<std::uint8_t>(hex_digit(text[position]) << 4 |
                                         hex_digit(text[position + 1]));
    });
    return buffer(bytes);
}

Term name(std::string_view path, const Term& value) {
    return join(op(kNameOp), name_string(path), value);
}

Term scope(std::string_view path, Terms terms) {
    return sized(op(kScopeOp), name_string(path), Term(terms));
}

Term device(std::string_view path, Terms terms) {
    return sized(extended(kDeviceOp), name_string(path), Term(terms));
}

Term method(std::string_view path, unsigned arguments, Terms terms) {
    io::check(arguments <= kArguments, "an AML method has at most seven arguments");
    const Term flags = op(static_cast<std::uint8_t>(arguments | kSerialized));
    return sized(op(kMethodOp), name_string(path), flags, Term(terms));
}

Term io_region(std::string_view path, std::uint16_t port, std::uint16_t length) {
    return join(extended(kRegionOp), name_string(path), op(kSystemIo), integer(port),
                integer(length));
}

Term field(std::string_view region, std::initializer_list<FieldUnit> units) {
    Term content{name_string(region), op(kByteAccess | kWriteAsZeros)};
    for (const FieldUnit& unit : units) {
        content.append(name_segment(unit.name)).append(field_length(unit.bits));
    }
    return sized(extended(kFieldOp), content);
}

Term create_dword_field(const Term& buffer, std::uint64_t index, std::string_view path) {
    return join(op(kCreateDWordFieldOp), buffer, integer(index), name_string(path));
}

Term argument(unsigned number) {
    io::check(number < kArguments, "an AML method has at most seven arguments");
    return op(static_cast<std::uint8_t>(kArg0Op + number));
}

Term local(unsigned number) {
    io::check(number < kLocals, "an AML method has eight locals");
    return op(static_cast<std::uint8_t>(kLocal0Op + number));
}

Term if_then(const Term& condition, Terms terms) {
    return sized(op(kIfOp), condition, Term(terms));
}

Term otherwise(Terms terms) {
    return sized(op(kElseOp), Term(terms));
}

Term equal(const Term& left, const Term& right) {
    return join(op(kLEqualOp), left, right);
}

Term logical_not(const Term& operand) {
    return join(op(kLNotOp), operand);
}

Term bit_and(const Term& left, const Term& right, const Term& target) {
    return join(op(kAndOp), left, right, target.size() == 0 ? op(0) : target);
}

Term bit_or(const Term& left, const Term& right, const Term& target) {
    return join(op(kOrOp), left, right, target.size() == 0 ? op(0) : target);
}

Term store(const Term& value, const Term& target) {
    return join(op(kStoreOp), value, target);
}

Term notify(const Term& object, std::uint64_t value) {
    return join(op(kNotifyOp), object, integer(value));
}

Term give_back(const Term& value) {
    return join(op(kReturnOp), value);
}

}  // namespace cxlvm::acpi::aml
