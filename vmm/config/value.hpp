// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

/// How a VmConfig is written: on the command line, in a JSON file, in the help and the man page.
namespace cxlvm::config {

/// One setting as it was written, with what a message needs in order to name it. Holds views only.
struct Value {
    std::string_view where;  ///< "--memory", or "vm.json: memory" for a file
    std::string_view key;    ///< "hugepages"; empty when the option takes one plain value
    std::string_view text;   ///< as written
};

/// Throws io::Error (Fault::Input): "where: key=text: problem" in one printable line.
[[noreturn]] void reject(const Value& value, std::string_view problem);

/// Bytes: a number with an optional suffix K, M, G or T (powers of 1024, either case). Throws
/// io::Error for anything else, for 0, and for what does not fit into 64 bits.
[[nodiscard]] std::uint64_t parse_size(const Value& value);
/// The size with the largest suffix that divides it: parse_size gives it back.
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// A decimal number from `minimum` to `maximum`. Throws io::Error.
[[nodiscard]] unsigned parse_number(const Value& value, unsigned minimum = 0,
                                    unsigned maximum = std::numeric_limits<unsigned>::max());

/// "true" or "false". Throws io::Error.
[[nodiscard]] bool parse_flag(const Value& value);

/// Index of the value among `choices`. Throws io::Error that lists them.
[[nodiscard]] std::size_t parse_choice(const Value& value,
                                       std::span<const std::string_view> choices);

/// A path or other text: anything but an empty string or one with a NUL. Throws io::Error.
[[nodiscard]] std::string parse_text(const Value& value);
/// Text that may be empty, without a NUL. Throws io::Error.
[[nodiscard]] std::string parse_any_text(const Value& value);

/// The candidate that a mistyped `word` most likely meant, if one is near enough.
[[nodiscard]] std::optional<std::string_view> nearest(std::string_view word,
                                                      std::span<const std::string_view> candidates);

}  // namespace cxlvm::config
