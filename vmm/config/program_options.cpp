// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/program_options.hpp"

namespace cxlvm::config {

namespace {

using ProgramKey = Key<ProgramConfig>;
using Texts = std::vector<std::string>;

template <std::string ProgramConfig::*Member>
void set_text(ProgramConfig& program, const Value& value) {
    program.*Member = parse_text(value);
}

template <std::string ProgramConfig::*Member>
Texts get_text(const ProgramConfig& program) {
    return (program.*Member).empty() ? Texts{} : Texts{program.*Member};
}

template <auto... Members>
void reset_members(ProgramConfig& program) {
    ((program.*Members = ProgramConfig{}.*Members), ...);
}

constexpr ProgramKey kLog[] = {
    {{"level", Kind::Text, "LEVEL", {}, "off, error, warn, info, debug or trace"},
     [](ProgramConfig& program, const Value& value) {
         const auto level = io::parse_log_level(value.text);
         if (!level) {
             reject(value, "give one of off, error, warn, info, debug, trace");
         }
         program.log_level = *level;
     },
     [](const ProgramConfig& program) {
         return Texts{std::string(io::to_string(program.log_level))};
     }},
    {{"file", Kind::Text, "FILE", "standard error", "appended to"},
     set_text<&ProgramConfig::log_file>,
     get_text<&ProgramConfig::log_file>},
};

constexpr ProgramKey kPidfile[] = {{{{}, Kind::Text, {}, "none", {}},
                                    set_text<&ProgramConfig::pidfile>,
                                    get_text<&ProgramConfig::pidfile>}};

constexpr ProgramKey kSummary[] = {
    {{{}, Kind::Flag, {}, {}, {}},
     [](ProgramConfig& program, const Value& value) { program.summary = parse_flag(value); },
     [](const ProgramConfig& program) { return program.summary ? Texts{"true"} : Texts{}; }}};

constexpr Option<ProgramConfig> kOptions[] = {
    {{"log", "LEVEL[,file=FILE]", "what is logged, and where"},
     kLog,
     reset_members<&ProgramConfig::log_level, &ProgramConfig::log_file>},
    {{"pidfile", "FILE", "holds the process id, locked; removed at the end"},
     kPidfile,
     reset_members<&ProgramConfig::pidfile>},
    {{"summary", {}, "print one line at the end: how it ended, time, exits"},
     kSummary,
     reset_members<&ProgramConfig::summary>},
};

}  // namespace

std::span<const Option<ProgramConfig>> program_options() noexcept {
    return kOptions;
}

}  // namespace cxlvm::config
