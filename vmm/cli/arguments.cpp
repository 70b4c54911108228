// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>

#include "io/error.hpp"
#include "vmm/cli/check_options.hpp"
#include "vmm/cli/run_options.hpp"
#include "vmm/config/option.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::cli {

namespace {

/// The texts of the help are ours (help.cpp), so the parser gets the names alone.
template <typename T>
void add_options(CLI::App& command, std::span<const config::Option<T>> options) {
    for (const config::Option<T>& option : options) {
        const std::string name = fmt::format("--{}", option.name);
        if (option.is_flag()) {
            command.add_flag(name);
        } else {
            // Every value of every time that it is given is kept: whether that is allowed is
            // decided with the table at hand.
            command.add_option(name)
                ->expected(1)
                ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
                ->allow_extra_args(false);
        }
    }
}

std::vector<std::string> option_names(const CLI::App& command) {
    std::vector<std::string> result;
    for (const CLI::Option* option : command.get_options()) {
        result.push_back(option->get_lnames().front());
    }
    return result;
}

[[noreturn]] void reject_extra(const CLI::App& command, const std::string& extra) {
    const std::string help =
        fmt::format("'cxlvm {} --help' lists what there is", command.get_name());
    if (!extra.starts_with("-")) {
        io::throw_input(fmt::format("unexpected argument '{}'; {}", extra, help));
    }
    const std::vector<std::string> known = option_names(command);
    const std::vector<std::string_view> views(known.begin(), known.end());
    const std::string name = extra.substr(0, extra.find('='));
    const std::size_t word = std::min(name.find_first_not_of('-'), name.size());
    const auto meant = config::nearest(std::string_view(name).substr(word), views);
    io::throw_input(meant ? fmt::format("unknown option {}; did you mean --{}?", name, *meant)
                          : fmt::format("unknown option {}; {}", name, help));
}

[[noreturn]] void reject_command(const std::string& name,
                                 std::span<const std::string_view> commands) {
    if (name.starts_with("-")) {
        io::throw_input(
            fmt::format("unknown option {}; options follow a command, as in "
                        "'cxlvm run --kernel FILE'",
                        name));
    }
    if (name == "help" || name == "version") {
        io::throw_input(fmt::format("unknown command '{}'; did you mean --{}?", name, name));
    }
    const auto meant = config::nearest(name, commands);
    io::throw_input(
        meant ? fmt::format("unknown command '{}'; did you mean '{}'?", name, *meant)
              : fmt::format("unknown command '{}'; known are {}", name, fmt::join(commands, ", ")));
}

}  // namespace

Arguments parse_arguments(int argc, const char* const* argv) {
    CLI::App app("", "cxlvm");
    app.set_version_flag("--version", std::string());
    app.allow_extras();
    app.require_subcommand(0, 1);
    CLI::App* const run = app.add_subcommand("run");
    add_options(*run, run_options());
    add_options(*run, config::vm_options());
    CLI::App* const check = app.add_subcommand("check");
    add_options(*check, check_options());
    for (CLI::App* const command : {run, check}) {
        command->allow_extras();
    }

    Arguments arguments;
    const auto parsed_command = [&]() -> const CLI::App* {
        return run->parsed() ? run : check->parsed() ? check : nullptr;
    };
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        const CLI::App* const command = parsed_command();
        arguments.help_for = command != nullptr ? command->get_name() : "";
        return arguments;
    } catch (const CLI::CallForVersion&) {
        arguments.command = Command::Version;
        return arguments;
    } catch (const CLI::ArgumentMismatch& error) {
        // "--kernel: 1 required TEXT missing"
        const std::string what = error.what();
        io::throw_input(fmt::format("{}: needs a value", what.substr(0, what.find(':'))));
    } catch (const CLI::ParseError& error) {
        io::throw_input(error.what());
    }

    const CLI::App* const command = parsed_command();
    if (command == nullptr) {
        if (const std::vector<std::string> extras = app.remaining(); !extras.empty()) {
            constexpr std::string_view kCommands[] = {"check", "run"};
            reject_command(extras.front(), kCommands);
        }
        io::throw_input("no command; try 'cxlvm run --kernel FILE' or 'cxlvm --help'");
    }
    if (const std::vector<std::string> extras = app.remaining(true); !extras.empty()) {
        reject_extra(*command, extras.front());
    }
    arguments.command = command == run ? Command::Run : Command::Check;
    for (const CLI::Option* option : command->get_options()) {
        if (option->count() != 0) {
            arguments.options.push_back({option->get_lnames().front(), option->results()});
        }
    }
    return arguments;
}

}  // namespace cxlvm::cli
