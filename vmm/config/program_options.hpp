// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "io/log.hpp"
#include "vmm/config/option.hpp"

namespace cxlvm::config {

/// What a program that runs one VM is told besides the VmConfig, wherever that comes from.
struct ProgramConfig {
    io::LogLevel log_level = io::LogLevel::Warn;
    std::string log_file;  ///< appended to; empty: standard error
    std::string pidfile;   ///< empty: none
    bool summary = false;  ///< one line on standard error at the end
};

/// The table of every option that a ProgramConfig has, by name.
[[nodiscard]] std::span<const Option<ProgramConfig>> program_options() noexcept;

}  // namespace cxlvm::config
