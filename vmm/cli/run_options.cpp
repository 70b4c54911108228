// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/run_options.hpp"

#include "vmm/config/json.hpp"
#include "vmm/config/vm_options.hpp"

namespace cxlvm::cli {

namespace {

using config::Kind;
using config::Value;
using RunKey = config::Key<RunOptions>;
using RunOption = config::Option<RunOptions>;
using Texts = std::vector<std::string>;

template <std::string RunOptions::*Member>
void set_text(RunOptions& options, const Value& value) {
    options.*Member = parse_text(value);
}

template <std::string RunOptions::*Member>
Texts get_text(const RunOptions& options) {
    return (options.*Member).empty() ? Texts{} : Texts{options.*Member};
}

template <bool RunOptions::*Member>
void set_flag(RunOptions& options, const Value& value) {
    options.*Member = parse_flag(value);
}

template <bool RunOptions::*Member>
Texts get_flag(const RunOptions& options) {
    return options.*Member ? Texts{"true"} : Texts{};
}

template <auto Member>
void reset_member(RunOptions& options) {
    options.*Member = RunOptions{}.*Member;
}

constexpr RunKey kConfig[] = {
    {{{}, Kind::Text, {}, {}, {}}, set_text<&RunOptions::config>, get_text<&RunOptions::config>}};

constexpr RunKey kDumpConfig[] = {{{{}, Kind::Flag, {}, {}, {}},
                                   set_flag<&RunOptions::dump_config>,
                                   get_flag<&RunOptions::dump_config>}};

constexpr RunKey kLog[] = {
    {{"level", Kind::Text, "LEVEL", {}, "off, error, warn, info, debug or trace"},
     [](RunOptions& options, const Value& value) {
         const auto level = io::parse_log_level(value.text);
         if (!level) {
             reject(value, "give one of off, error, warn, info, debug, trace");
         }
         options.log_level = *level;
     },
     [](const RunOptions& options) {
         return Texts{std::string(io::to_string(options.log_level))};
     }},
    {{"file", Kind::Text, "FILE", "standard error", "appended to"},
     set_text<&RunOptions::log_file>,
     get_text<&RunOptions::log_file>},
};

constexpr RunKey kPidfile[] = {{{{}, Kind::Text, {}, "none", {}},
                                set_text<&RunOptions::pidfile>,
                                get_text<&RunOptions::pidfile>}};

constexpr RunKey kSummary[] = {
    {{{}, Kind::Flag, {}, {}, {}}, set_flag<&RunOptions::summary>, get_flag<&RunOptions::summary>}};

constexpr RunOption kOptions[] = {
    {{"config", "FILE", "start from this JSON file; options given here replace what it says"},
     kConfig,
     reset_member<&RunOptions::config>},
    {{"dump-config", {}, "print the configuration as JSON that --config takes, and run nothing"},
     kDumpConfig,
     reset_member<&RunOptions::dump_config>},
    {{"log", "LEVEL[,file=FILE]", "what is logged, and where"},
     kLog,
     [](RunOptions& options) {
         reset_member<&RunOptions::log_level>(options);
         reset_member<&RunOptions::log_file>(options);
     }},
    {{"pidfile", "FILE", "holds the process id, locked; removed at the end"},
     kPidfile,
     reset_member<&RunOptions::pidfile>},
    {{"summary", {}, "print one line at the end: how it ended, time, exits"},
     kSummary,
     reset_member<&RunOptions::summary>},
};

}  // namespace

std::span<const RunOption> run_options() noexcept {
    return kOptions;
}

RunRequest make_run_request(const Arguments& arguments) {
    RunRequest request;
    apply(run_options(), arguments, request.options);
    if (!request.options.config.empty()) {
        request.vm = config::load_json(request.options.config);
    }
    apply(config::vm_options(), arguments, request.vm);
    return request;
}

}  // namespace cxlvm::cli
