// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/command_line.hpp"

namespace guest {
namespace {

constexpr std::uint64_t kMostExits = 10'000'000;
constexpr std::uint64_t kMostCharacters = 4096;

/// The decimal number that `text` begins with, up to kMostExits.
std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') {
            break;
        }
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
        if (value > kMostExits) {
            return kMostExits;
        }
    }
    return value;
}

void apply(Options& options, std::string_view word) {
    constexpr std::string_view kExits = "exits=";
    if (word.starts_with(kExits)) {
        word.remove_prefix(kExits.size());
        options.exits = number(word);
    } else if (word == "quiet") {
        options.quiet = true;
    } else if (word == "echo") {
        options.echo = true;
    } else if (word == "reset") {
        options.ending = Ending::Reset;
    } else if (word == "panic") {
        options.ending = Ending::Panic;
    } else if (word == "triplefault") {
        options.ending = Ending::TripleFault;
    } else if (word == "hang") {
        options.ending = Ending::Hang;
    } else if (word == "spin") {
        options.ending = Ending::Spin;
    }
}

}  // namespace

std::string_view command_line(const BootParams& params, const MemoryMap& map) {
    const std::uint64_t address = params.command_line();
    std::uint64_t most = address == 0 ? 0 : map.readable(address);
    most = most < kMostCharacters ? most : kMostCharacters;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the map has said that this is memory
    const char* text = reinterpret_cast<const char*>(address);
    std::size_t length = 0;
    while (length < most && text[length] != '\0') {
        ++length;
    }
    return {text, length};
}

Options parse(std::string_view line) {
    Options options;
    while (!line.empty()) {
        std::size_t length = 0;
        while (length < line.size() && line[length] != ' ') {
            ++length;
        }
        apply(options, {line.data(), length});
        line.remove_prefix(length < line.size() ? length + 1 : length);
    }
    return options;
}

}  // namespace guest
