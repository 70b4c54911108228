// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <thread>

#include "io/event_loop.hpp"
#include "tests/support/serve_until.hpp"
#include "tests/support/stepped_clock.hpp"

namespace cxlvm::test {

/// What a rate is to allow: so much in all, when the stepped clock has gone on by `later`.
struct RateStep {
    std::chrono::nanoseconds later;
    std::size_t done;
};

/// Serves the loop until `count()` is `expected`, and then sees that it stays at that. The timers
/// of what is limited are the host's: one that ends too early finds no new tokens.
template <typename Count>
void serve_exactly(io::EventLoop& loop, std::size_t expected, Count count) {
    EXPECT_TRUE(serve_until(loop, [&] { return count() >= expected; }));
    for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        loop.run_ready();
    }
    EXPECT_EQ(count(), expected);
}

/// Takes the steps one after the other; `run(done)` serves and checks.
template <typename Run>
void take_steps(std::initializer_list<RateStep> steps, Run run) {
    for (const RateStep& step : steps) {
        SCOPED_TRACE(testing::Message() << step.done << " in all");
        SteppedClock::advance(step.later);
        run(step.done);
    }
}

}  // namespace cxlvm::test
