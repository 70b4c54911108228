// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "io/operations.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::io {
namespace {

using namespace std::chrono_literals;

/// Reads, timers and tasks that start one another until each has had its share.
class Load {
  public:
    explicit Load(EventLoop& loop) : loop_(loop), event_("load") {}
    void begin() noexcept {
        for (TimeoutOp& timer : timers_) {
            loop_.start(timer.set(0ns));
        }
        loop_.start(read_.set(event_.fd(), std::as_writable_bytes(std::span(&count_, 1))));
        event_.signal();
        loop_.post(task_);
    }
    [[nodiscard]] int left() const noexcept { return left_; }

  private:
    static constexpr std::size_t kTimers = 100;  // more than the ring has entries

    void on_time(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
        for (TimeoutOp& timer : timers_) {
            if (left_ > 0 && timer.idle()) {
                loop_.start(timer.set(0ns));
            }
        }
        step();
    }
    void on_read(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
        if (left_ > 0) {
            loop_.start(read_);
            event_.signal();
        }
    }
    void on_task() noexcept {
        if (left_ > 0) {
            loop_.post(task_);
        }
    }
    void step() noexcept {
        if (--left_ == 0) {
            loop_.stop();
        }
    }

    template <std::size_t... I>
    std::array<TimeoutOp, kTimers> make_timers(std::index_sequence<I...>) noexcept {
        return {((void)I, TimeoutOp(Completion::to<&Load::on_time>(*this)))...};
    }

    EventLoop& loop_;
    EventFd event_;
    int left_ = 20'000;
    std::uint64_t count_ = 0;
    ReadOp read_{Completion::to<&Load::on_read>(*this)};
    std::array<TimeoutOp, kTimers> timers_{make_timers(std::make_index_sequence<kTimers>{})};
    Task task_ = Task::to<&Load::on_task>(*this);
};

TEST(EventLoopAllocation, NothingIsAllocatedAfterConstruction) {
    const test::AllocationCounter since_before;
    EventLoop loop({.entries = 8, .name = "test"});
    Load load(loop);
    ASSERT_GT(since_before.count(), 0U) << "the counter does not count";
    const test::AllocationCounter allocations;
    load.begin();
    loop.run();
    EXPECT_EQ(allocations.count(), 0U);
    EXPECT_LE(load.left(), 0);
}

TEST(LogAllocation, AMessageAllocatesNothing) {
    Log log(2, LogLevel::Warn);
    RateLimit limit;
    const test::AllocationCounter allocations;
    log.warn("a message with {} and {:#x}", "text", 4711);
    log.guest(limit, "a guest's message {}", 1);
    EXPECT_EQ(allocations.count(), 0U);
}

}  // namespace
}  // namespace cxlvm::io
