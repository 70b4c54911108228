// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "io/log.hpp"
#include "vmm/cli/arguments.hpp"
#include "vmm/config/option.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm::cli {

/// What `cxlvm run` can be told besides the VmConfig.
struct RunOptions {
    std::string config;        ///< JSON file to start from; empty: the defaults
    bool dump_config = false;  ///< print the VmConfig instead of running it
    io::LogLevel log_level = io::LogLevel::Warn;
    std::string log_file;  ///< appended to; empty: standard error
    std::string pidfile;   ///< empty: none
    bool summary = false;  ///< one line on standard error at the end
};

/// By name.
[[nodiscard]] std::span<const config::Option<RunOptions>> run_options() noexcept;

struct RunRequest {
    RunOptions options;
    VmConfig vm;
};

/// What the arguments of `cxlvm run` ask for: an option replaces the same one of the --config file.
/// Throws io::Error (Fault::Input).
[[nodiscard]] RunRequest make_run_request(const Arguments& arguments);

}  // namespace cxlvm::cli
