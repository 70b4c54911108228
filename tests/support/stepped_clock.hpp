// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

namespace cxlvm::test {

/// A clock that stands still until it is told to go on. One at a time.
class SteppedClock {
  public:
    using Time = std::chrono::steady_clock::time_point;

    SteppedClock() { time() = Time(std::chrono::hours(1000)); }
    SteppedClock(const SteppedClock&) = delete;
    SteppedClock& operator=(const SteppedClock&) = delete;
    ~SteppedClock() = default;

    static Time now() noexcept { return time(); }
    static void advance(std::chrono::nanoseconds by) { time() += by; }

  private:
    static Time& time() noexcept {
        static Time value;
        return value;
    }
};

}  // namespace cxlvm::test
