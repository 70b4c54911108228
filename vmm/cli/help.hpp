// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/help.hpp"

namespace cxlvm::cli {

/// The options of `cxlvm run`, by name.
[[nodiscard]] std::vector<config::HelpEntry> run_help_entries();
/// The options of `cxlvm check`, by name.
[[nodiscard]] std::vector<config::HelpEntry> check_help_entries();

/// What `cxlvm COMMAND --help` prints; an empty command is the program itself.
[[nodiscard]] std::string help_text(std::string_view command);

/// What `cxlvm --version` prints.
[[nodiscard]] std::string version_text();

}  // namespace cxlvm::cli
