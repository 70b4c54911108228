// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "vmm/config/option.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm::config {

/// The table of every option that a VmConfig has, by name: the command line, the JSON reader and
/// writer, the help and the man page all read this one.
[[nodiscard]] std::span<const Option<VmConfig>> vm_options() noexcept;

}  // namespace cxlvm::config
