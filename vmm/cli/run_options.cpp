// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "vmm/config/json.hpp"
#include "vmm/config/program_options.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::cli {

namespace {

using config::Kind;
using config::Value;
using RunKey = config::Key<RunOptions>;
using RunOption = config::Option<RunOptions>;
using Texts = std::vector<std::string>;

constexpr RunKey kConfig[] = {
    {{{}, Kind::Text, {}, {}, {}},
     [](RunOptions& options, const Value& value) { options.config = parse_text(value); },
     [](const RunOptions& options) {
         return options.config.empty() ? Texts{} : Texts{options.config};
     }}};

constexpr RunKey kDumpConfig[] = {
    {{{}, Kind::Flag, {}, {}, {}},
     [](RunOptions& options, const Value& value) { options.dump_config = parse_flag(value); },
     [](const RunOptions& options) { return options.dump_config ? Texts{"true"} : Texts{}; }}};

constexpr RunOption kOptions[] = {
    {{"config", "FILE", "start from this JSON file; options given here replace what it says"},
     kConfig,
     [](RunOptions& options) { options.config.clear(); }},
    {{"dump-config", {}, "print the configuration as JSON that --config takes, and run nothing"},
     kDumpConfig,
     [](RunOptions& options) { options.dump_config = false; }},
};

}  // namespace

std::span<const RunOption> run_options() noexcept {
    return kOptions;
}

RunRequest make_run_request(const Arguments& arguments) {
    RunRequest request;
    apply(run_options(), arguments, request.options);
    if (!request.options.config.empty()) {
        config::Configuration file = config::load_json(request.options.config);
        request.vm = std::move(file.vm);
        request.program = std::move(file.program);
        for (std::string& name : file.given) {
            const bool replaced =
                std::any_of(arguments.options.begin(), arguments.options.end(),
                            [&](const Given& given) { return given.name == name; });
            if (!replaced) {
                request.from_file.push_back(std::move(name));
            }
        }
    }
    apply(config::vm_options(), arguments, request.vm);
    apply(config::program_options(), arguments, request.program);
    return request;
}

std::string as_given(const std::string& message, const RunRequest& request) {
    for (const std::string& name : request.from_file) {
        if (message.starts_with(fmt::format("--{}: ", name))) {
            return fmt::format("{}: {}", request.options.config, message.substr(2));
        }
    }
    return message;
}

}  // namespace cxlvm::cli
