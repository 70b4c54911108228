// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "io/event_loop.hpp"
#include "tests/io/loop_support.hpp"

// post, withdraw and stop from other threads.

namespace cxlvm::io {
namespace {

using namespace std::chrono_literals;

/// A loop with a thread that runs it.
class RunningLoop {
  public:
    RunningLoop() : thread_([this] { loop.run(); }) {}
    RunningLoop(const RunningLoop&) = delete;
    RunningLoop& operator=(const RunningLoop&) = delete;
    ~RunningLoop() { finish(); }
    void finish() {
        loop.stop();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    EventLoop loop{{.entries = 8, .name = "threads"}};

  private:
    std::thread thread_;
};

struct Counter {
    explicit Counter(EventLoop& on) : loop(on) {}
    void run() noexcept {
        right_thread = right_thread && loop.on_loop_thread();
        count.fetch_add(1);
    }
    EventLoop& loop;
    bool right_thread = true;
    std::atomic<int> count{0};
};

template <typename Condition>
void wait_until(Condition done) {
    const auto limit = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
        ASSERT_LT(std::chrono::steady_clock::now(), limit) << "did not happen in time";
        std::this_thread::sleep_for(100us);
    }
}

TEST(EventLoopPost, RunsTheTaskOnTheLoopsThread) {
    RunningLoop running;
    Counter counter(running.loop);
    Task task = Task::to<&Counter::run>(counter);
    for (int i = 1; i <= 100; ++i) {
        running.loop.post(task);
        wait_until([&] { return counter.count == i; });
    }
    running.finish();
    EXPECT_TRUE(counter.right_thread);
}

TEST(EventLoopPost, RunsTasksInOrderOfPosting) {
    struct Item {
        Item(std::vector<int>& into, int n) : order(&into), number(n) {}
        std::vector<int>* order;
        int number;
        Task task{this, [](void* self) noexcept {
                      auto& item = *static_cast<Item*>(self);
                      item.order->push_back(item.number);
                  }};
    };
    EventLoop loop({.entries = 8, .name = "test"});
    std::vector<int> order;
    std::vector<std::unique_ptr<Item>> items;
    for (int i = 0; i < 1000; ++i) {
        items.push_back(std::make_unique<Item>(order, i));
        loop.post(items.back()->task);
    }
    loop.run_ready();
    ASSERT_EQ(order.size(), 1000U);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(EventLoopPost, OfEightThreadsLosesNothing) {
    constexpr int kThreads = 8;
    constexpr int kTasks = 500;
    RunningLoop running;
    Counter counter(running.loop);
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            std::vector<std::unique_ptr<Task>> tasks;
            for (int j = 0; j < kTasks; ++j) {
                tasks.push_back(std::make_unique<Task>(
                    &counter, [](void* self) noexcept { static_cast<Counter*>(self)->run(); }));
                running.loop.post(*tasks.back());
            }
            wait_until([&] { return counter.count == kThreads * kTasks; });
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(counter.count, kThreads * kTasks);
}

TEST(EventLoopPost, ATaskMayPostItselfAgainWithoutStarvingOperations) {
    EventLoop loop({.entries = 8, .name = "test"});
    struct Again {
        EventLoop& loop;
        int count = 0;
        Task task{this, [](void* self) noexcept {
                      auto& again = *static_cast<Again*>(self);
                      ++again.count;
                      again.loop.post(again.task);
                  }};
    } again{loop};
    test::Recorded<TimeoutOp> timer;
    timer.record.then = [&] { loop.stop(); };
    loop.post(again.task);
    loop.start(timer.op.set(2ms));
    loop.run();
    EXPECT_GT(again.count, 1);
    EXPECT_TRUE(loop.withdraw(again.task));
}

TEST(EventLoopPost, ATaskMayStartOperationsAndDestroyItsOwner) {
    EventLoop loop({.entries = 8, .name = "test"});
    struct Owner {
        explicit Owner(std::unique_ptr<Owner>& me) : self(&me) {}
        std::unique_ptr<Owner>* self;
        Task task{this, [](void* object) noexcept { static_cast<Owner*>(object)->self->reset(); }};
    };
    std::unique_ptr<Owner> owner;
    owner = std::make_unique<Owner>(owner);
    loop.post(owner->task);
    loop.run_ready();
    EXPECT_EQ(owner, nullptr);
}

TEST(EventLoopWithdraw, TakesBackATaskThatHasNotRun) {
    EventLoop loop({.entries = 8, .name = "test"});
    Counter counter(loop);
    Task task = Task::to<&Counter::run>(counter);
    EXPECT_FALSE(loop.withdraw(task)) << "never posted";
    loop.post(task);
    EXPECT_TRUE(loop.withdraw(task));
    loop.run_ready();
    EXPECT_EQ(counter.count, 0);
    loop.post(task);
    loop.run_ready();
    EXPECT_EQ(counter.count, 1);
    EXPECT_FALSE(loop.withdraw(task)) << "ran";
}

TEST(EventLoopWithdraw, ByATaskOfTheSameBatchWorksToo) {
    EventLoop loop({.entries = 8, .name = "test"});
    Counter counter(loop);
    Task second = Task::to<&Counter::run>(counter);
    struct First {
        EventLoop& loop;
        Task& other;
        bool withdrawn = false;
        void run() noexcept { withdrawn = loop.withdraw(other); }
    } first{loop, second};
    Task task = Task::to<&First::run>(first);
    loop.post(task);
    loop.post(second);
    loop.run_ready();
    EXPECT_TRUE(first.withdrawn);
    EXPECT_EQ(counter.count, 0);
}

TEST(EventLoopWithdraw, RacingWithTheLoopTheTaskRunsOrComesBackNeverBoth) {
    RunningLoop running;
    Counter counter(running.loop);
    int taken_back = 0;
    constexpr int kRounds = 2000;
    for (int i = 0; i < kRounds; ++i) {
        Task task = Task::to<&Counter::run>(counter);
        const int before = counter.count;
        running.loop.post(task);
        if (running.loop.withdraw(task)) {
            ++taken_back;
        } else {
            wait_until([&] { return counter.count == before + 1; });
        }
    }
    running.finish();
    EXPECT_EQ(counter.count + taken_back, kRounds);
}

TEST(EventLoopThreads, StopFromSeveralThreadsAtOnceEndsTheRun) {
    for (int i = 0; i < 50; ++i) {
        RunningLoop running;
        std::thread first([&] { running.loop.stop(); });
        std::thread second([&] { running.loop.stop(); });
        first.join();
        second.join();
        running.finish();
    }
}

TEST(EventLoopThreads, ASleepingLoopServesOperationsThatATaskStarts) {
    RunningLoop running;
    struct Starter {
        EventLoop& loop;
        std::atomic<bool> done{false};
        TimeoutOp timer{Completion::to<&Starter::on_time>(*this)};
        void run() noexcept { loop.start(timer.set(1ms)); }
        void on_time(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
            done = true;
        }
    } starter{running.loop};
    Task task = Task::to<&Starter::run>(starter);
    std::this_thread::sleep_for(5ms);
    running.loop.post(task);
    wait_until([&] { return starter.done.load(); });
    running.finish();
}

}  // namespace
}  // namespace cxlvm::io
