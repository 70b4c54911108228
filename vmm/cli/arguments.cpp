// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/arguments.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <span>
#include <string_view>

#include "io/error.hpp"
#include "vmm/cli/check_options.hpp"
#include "vmm/cli/run_options.hpp"
#include "vmm/config/option.hpp"
#include "vmm/config/program_options.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::cli {

namespace {

using Words = std::span<const char* const>;

/// Whether a word is the option's name, with or without a value behind it.
bool is_given(Words words, std::string_view name) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
        if (!word.starts_with("--") || !word.substr(2).starts_with(name)) {
            return false;
        }
        const std::string_view rest = word.substr(2 + name.size());
        return rest.empty() || rest.front() == '=';
    });
}

/// The texts of the help are ours (help.cpp), so the parser gets the names alone; and only those
/// that a word has, for to make one takes it longer than to parse a whole command line.
template <typename T>
void add_options(CLI::App& command, std::span<const config::Option<T>> options, Words words) {
    for (const config::Option<T>& option : options) {
        if (!is_given(words, option.name)) {
            continue;
        }
        const std::string name = fmt::format("--{}", option.name);
        if (option.is_flag()) {
            command.add_flag(name);
        } else if (option.bare) {
            command.add_option(name)
                ->expected(0, 1)
                ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
                ->allow_extra_args(false);
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

constexpr std::string_view kCheck = "check";
constexpr std::string_view kRun = "run";
constexpr std::string_view kCommands[] = {kCheck, kRun};

/// The command's parser if a word is its name, else nothing: what no word names is not parsed.
CLI::App* add_command(CLI::App& app, std::string_view name, Words words) {
    if (std::find(words.begin(), words.end(), name) == words.end()) {
        return nullptr;
    }
    CLI::App* const command = app.add_subcommand(std::string(name));
    command->allow_extras();
    return command;
}

std::vector<std::string_view> option_names(std::string_view command) {
    std::vector<std::string_view> result{"help"};
    const auto add = [&](const std::vector<std::string_view>& names) {
        result.insert(result.end(), names.begin(), names.end());
    };
    if (command == kRun) {
        add(config::names(run_options()));
        add(config::names(config::vm_options()));
        add(config::names(config::program_options()));
    } else {
        add(config::names(check_options()));
    }
    return result;
}

[[noreturn]] void reject_extra(std::string_view command, const std::string& extra) {
    const std::string help = fmt::format("'cxlvm {} --help' lists what there is", command);
    if (!extra.starts_with("-")) {
        io::throw_input(fmt::format("unexpected argument '{}'; {}", extra, help));
    }
    const std::vector<std::string_view> known = option_names(command);
    const std::string name = extra.substr(0, extra.find('='));
    const std::size_t word = std::min(name.find_first_not_of('-'), name.size());
    const auto meant = config::nearest(std::string_view(name).substr(word), known);
    io::throw_input(meant ? fmt::format("unknown option {}; did you mean --{}?", name, *meant)
                          : fmt::format("unknown option {}; {}", name, help));
}

/// Where a value was forgotten the parser takes the option that follows for it, and is left with
/// that one's value: only then is what looks like an option no value.
void reject_option_as_value(std::string_view command, const Given& given) {
    for (const std::string& value : given.values) {
        if (!value.starts_with("--")) {
            continue;
        }
        const std::vector<std::string_view> known = option_names(command);
        const std::string_view name = std::string_view(value).substr(2, value.find('=') - 2);
        if (std::find(known.begin(), known.end(), name) != known.end()) {
            io::throw_input(
                fmt::format("--{}: needs a value, and --{} is an option", given.name, name));
        }
    }
}

[[noreturn]] void reject_command(const std::string& name) {
    if (name.starts_with("-")) {
        io::throw_input(
            fmt::format("unknown option {}; options follow a command, as in "
                        "'cxlvm run --kernel FILE'",
                        name));
    }
    if (name == "help" || name == "version") {
        io::throw_input(fmt::format("unknown command '{}'; did you mean --{}?", name, name));
    }
    const auto meant = config::nearest(name, kCommands);
    io::throw_input(meant ? fmt::format("unknown command '{}'; did you mean '{}'?", name, *meant)
                          : fmt::format("unknown command '{}'; known are {}", name,
                                        fmt::join(kCommands, ", ")));
}

}  // namespace

Arguments parse_arguments(int argc, const char* const* argv) {
    const Words words = argc > 1 ? Words(argv, static_cast<std::size_t>(argc)).subspan(1) : Words();
    CLI::App app("", "cxlvm");
    if (is_given(words, "version")) {
        app.set_version_flag("--version", std::string());
    }
    app.allow_extras();
    app.require_subcommand(0, 1);
    CLI::App* const run = add_command(app, kRun, words);
    if (run != nullptr) {
        add_options(*run, run_options(), words);
        add_options(*run, config::vm_options(), words);
        add_options(*run, config::program_options(), words);
    }
    CLI::App* const check = add_command(app, kCheck, words);
    if (check != nullptr) {
        add_options(*check, check_options(), words);
    }

    Arguments arguments;
    const auto parsed_command = [&]() -> const CLI::App* {
        for (const CLI::App* const command : {run, check}) {
            if (command != nullptr && command->parsed()) {
                return command;
            }
        }
        return nullptr;
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
            reject_command(extras.front());
        }
        io::throw_input("no command; try 'cxlvm run --kernel FILE' or 'cxlvm --help'");
    }
    arguments.command = command == run ? Command::Run : Command::Check;
    for (const CLI::Option* option : command->get_options()) {
        if (option->count() != 0) {
            arguments.options.push_back({option->get_lnames().front(), option->results()});
        }
    }
    if (const std::vector<std::string> extras = app.remaining(true); !extras.empty()) {
        for (const Given& given : arguments.options) {
            reject_option_as_value(command->get_name(), given);
        }
        reject_extra(command->get_name(), extras.front());
    }
    return arguments;
}

}  // namespace cxlvm::cli
