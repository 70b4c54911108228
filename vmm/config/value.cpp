// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <vector>

#include "io/error.hpp"

namespace cxlvm::config {

namespace {

struct Suffix {
    char letter;
    unsigned shift;
};
constexpr std::array<Suffix, 4> kSuffixes = {{{'T', 40}, {'G', 30}, {'M', 20}, {'K', 10}}};

constexpr std::size_t kLongestQuote = 200;

/// What was written may hold anything, and a message is one line.
std::string printable(std::string_view text, std::size_t longest = kLongestQuote) {
    std::string line(text.substr(0, longest));
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = '?';
        }
    }
    return text.size() > longest ? line + "..." : line;
}

/// Number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);  // two rows of the table above
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before.swap(above);
        above.swap(row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substituted = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({substituted, row[j - 1] + 1, above[j] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before[j - 2] + 1);
            }
        }
    }
    return row[b.size()];
}

}  // namespace

void reject(const Value& value, std::string_view problem) {
    std::string what = printable(value.where);
    if (!value.key.empty()) {
        what += fmt::format(": {}{}{}", printable(value.key), value.text.empty() ? "" : "=",
                            printable(value.text));
    } else if (!value.text.empty()) {
        what += fmt::format(": '{}'", printable(value.text));
    }
    io::throw_input(fmt::format("{}: {}", what, printable(problem, problem.size())));
}

std::uint64_t parse_size(const Value& value) {
    std::string_view digits = value.text;
    unsigned shift = 0;
    if (!digits.empty()) {
        const char last = digits.back();
        for (const Suffix& suffix : kSuffixes) {
            if (last == suffix.letter || last == suffix.letter - 'A' + 'a') {
                shift = suffix.shift;
                digits.remove_suffix(1);
                break;
            }
        }
    }
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) {
        reject(value, "not a size; give bytes, or a whole number with K, M, G or T, such as 512M");
    }
    if (error == std::errc::result_out_of_range ||
        number > std::numeric_limits<std::uint64_t>::max() >> shift) {
        reject(value, "does not fit into 64 bits; give a smaller size");
    }
    if (number == 0) {
        reject(value, "a size of zero; give one such as 512M");
    }
    return number << shift;
}

std::string format_size(std::uint64_t bytes) {
    for (const Suffix& suffix : kSuffixes) {
        const std::uint64_t unit = std::uint64_t{1} << suffix.shift;
        if (bytes != 0 && bytes % unit == 0) {
            return fmt::format("{}{}", bytes / unit, suffix.letter);
        }
    }
    return fmt::format("{}", bytes);
}

unsigned parse_number(const Value& value, unsigned minimum, unsigned maximum) {
    const char* const end_of_text = value.text.data() + value.text.size();
    unsigned number = 0;
    const auto [end, error] = std::from_chars(value.text.data(), end_of_text, number);
    if (error != std::errc() || end != end_of_text || number < minimum || number > maximum) {
        reject(value, fmt::format("give a whole number from {} to {}", minimum, maximum));
    }
    return number;
}

bool parse_flag(const Value& value) {
    if (value.text != "true" && value.text != "false") {
        reject(value, "give the name alone to switch it on, or =false to switch it off");
    }
    return value.text == "true";
}

std::size_t parse_choice(const Value& value, std::span<const std::string_view> choices) {
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (choices[i] == value.text) {
            return i;
        }
    }
    reject(value, fmt::format("give one of {}", fmt::join(choices, ", ")));
}

std::string parse_text(const Value& value) {
    if (value.text.empty()) {
        reject(value, "needs a value");
    }
    return parse_any_text(value);
}

std::string parse_any_text(const Value& value) {
    if (value.text.find('\0') != std::string_view::npos) {
        reject(value, "holds a NUL byte, which no path or text may");
    }
    return std::string(value.text);
}

std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
    constexpr std::size_t kLongestWord = 64;  // keeps the comparison cheap, whatever was typed
    if (word.empty() || word.size() > kLongestWord) {
        return std::nullopt;
    }
    std::optional<std::string_view> best;
    std::size_t best_distance = 2 + word.size() / 4;
    for (const std::string_view candidate : candidates) {
        const std::size_t d = candidate.starts_with(word) ? 1 : distance(word, candidate);
        if (d < best_distance) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}

}  // namespace cxlvm::config
