// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/error.hpp"
#include "vmm/config/option.hpp"

/// The command `cxlvm`: a thin layer over the library's public API.
namespace cxlvm::cli {

enum class Command : std::uint8_t { Help, Version, Run, Check };

/// An option as it was given, values not looked at yet.
struct Given {
    std::string name;                 ///< without the dashes
    std::vector<std::string> values;  ///< one per time that it was given; "true" for a flag
};

struct Arguments {
    Command command = Command::Help;
    /// The subcommand that help is wanted for; empty for the program itself.
    std::string help_for;
    std::vector<Given> options;  ///< of the subcommand
};

/// Takes the command line apart. Throws io::Error (Fault::Input) for what is not understood, with
/// the nearest name that is.
[[nodiscard]] Arguments parse_arguments(int argc, const char* const* argv);

/// Applies what was given of a table's options to `target`. Throws io::Error (Fault::Input).
template <typename T>
void apply(std::span<const config::Option<T>> options, const Arguments& arguments, T& target) {
    for (const Given& given : arguments.options) {
        const auto option =
            std::find_if(options.begin(), options.end(),
                         [&](const config::OptionInfo& info) { return info.name == given.name; });
        if (option == options.end()) {
            continue;
        }
        const std::string where = fmt::format("--{}", option->name);
        if (given.values.size() > 1 && !option->repeats) {
            io::throw_input(
                fmt::format("{}: given {} times; give it once", where, given.values.size()));
        }
        option->reset(target);
        for (const std::string& value : given.values) {
            parse_option(*option, where, value, target);
        }
    }
}

}  // namespace cxlvm::cli
