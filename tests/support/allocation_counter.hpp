// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace cxlvm::test {

/// Counts the program's calls of operator new since construction, from any thread. The program must
/// contain tests/support/allocation_counter.cpp, which replaces the global operator new.
class AllocationCounter {
  public:
    AllocationCounter() noexcept;
    [[nodiscard]] std::uint64_t count() const noexcept;

  private:
    std::uint64_t start_;
};

}  // namespace cxlvm::test
