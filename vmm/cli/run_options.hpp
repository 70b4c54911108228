// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/cli/arguments.hpp"
#include "vmm/config/option.hpp"
#include "vmm/config/program_options.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm::cli {

/// What `cxlvm run` can be told on its command line alone.
struct RunOptions {
    std::string config;        ///< JSON file to start from; empty: the defaults
    bool dump_config = false;  ///< print the configuration instead of running it
};

/// By name.
[[nodiscard]] std::span<const config::Option<RunOptions>> run_options() noexcept;

struct RunRequest {
    RunOptions options;
    VmConfig vm;
    config::ProgramConfig program;
    std::vector<std::string> from_file;  ///< names of the options that the --config file has set
};

/// What the arguments of `cxlvm run` ask for: an option replaces the same one of the --config file.
/// Throws io::Error (Fault::Input).
[[nodiscard]] RunRequest make_run_request(const Arguments& arguments);

/// A message about an option, "--memory: ...", under the name that the user knows: "vm.json:
/// memory: ..." where the --config file has set it.
[[nodiscard]] std::string as_given(const std::string& message, const RunRequest& request);

}  // namespace cxlvm::cli
