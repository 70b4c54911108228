// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace cxlvm::test {

/// Calls of operator new in this program so far, from any thread.
[[nodiscard]] std::size_t allocation_count() noexcept;

}  // namespace cxlvm::test
