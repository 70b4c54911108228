// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "vmm/config/option.hpp"

namespace cxlvm::cli {

/// What `cxlvm check` can be told.
struct CheckOptions {
    bool json = false;  ///< JSON instead of a table
};

/// By name.
[[nodiscard]] std::span<const config::Option<CheckOptions>> check_options() noexcept;

}  // namespace cxlvm::cli
