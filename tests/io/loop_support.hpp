// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <thread>
#include <vector>

#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "io/operations.hpp"
#include "tests/support/pipe.hpp"

namespace cxlvm::io::test {

struct Result {
    std::int32_t value = 0;
    bool more = false;
    bool operator==(const Result&) const = default;
};

/// Collects the results of an operation.
class Recorder {
  public:
    void on_result(std::int32_t result, std::uint32_t /*flags*/, bool more) noexcept {
        results.push_back({result, more});
        if (then) {
            then();
        }
    }
    Completion completion() noexcept { return Completion::to<&Recorder::on_result>(*this); }
    /// The one result; fails the test when there is not exactly one.
    std::int32_t only() const {
        EXPECT_EQ(results.size(), 1U);
        return results.empty() ? INT32_MIN : results.front().value;
    }

    std::vector<Result> results;
    std::function<void()> then;
};

/// An operation and what it reported.
template <typename Op>
struct Recorded {
    Recorder record;
    Op op{record.completion()};
};

using cxlvm::test::Pipe;

inline void put(const Fd& fd, std::string_view text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

/// A small loop, a pipe, and room for what comes out of it.
class EventLoopFixture : public testing::Test {
  protected:
    EventLoop loop_{{.entries = 8, .name = "test"}};
    Pipe pipe_;
    std::array<std::byte, 64> buffer_{};
};

/// Serves `loop` on this thread until `done()`; fails the test after ten seconds.
template <typename Condition>
void serve_until(EventLoop& loop, Condition done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
        loop.run_ready();
        if (std::chrono::steady_clock::now() > limit) {
            FAIL() << "the loop did not get there within ten seconds";
        }
    }
}

/// Gives completions that must not come the time to come.
inline void serve_for(EventLoop& loop, std::chrono::milliseconds time) {
    const auto limit = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < limit) {
        loop.run_ready();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace cxlvm::io::test
