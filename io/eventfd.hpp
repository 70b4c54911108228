// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "io/fd.hpp"

namespace cxlvm::io {

/// Owner of one eventfd(2): non-blocking, close-on-exec.
class EventFd {
  public:
    /// Throws Error naming `what`, the purpose.
    explicit EventFd(const std::string& what);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Adds 1. Any thread; async-signal-safe.
    void signal() const noexcept;
    /// Returns the count and sets it to 0; 0 when nothing was signalled.
    std::uint64_t drain() const noexcept;

  private:
    Fd fd_;
};

}  // namespace cxlvm::io
