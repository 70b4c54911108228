// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <thread>

#include "io/event_loop.hpp"

namespace cxlvm::test {

/// Runs the loop until the condition holds, with a limit that only a broken program reaches.
template <typename Condition>
[[nodiscard]] bool serve_until(io::EventLoop& loop, Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
        if (loop.run_ready() == 0) {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
        }
        if (std::chrono::steady_clock::now() > limit) {
            return false;
        }
    }
    return true;
}

}  // namespace cxlvm::test
