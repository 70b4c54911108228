// SPDX-License-Identifier: Apache-2.0
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "io/event_loop.hpp"
#include "io/eventfd.hpp"
#include "io/operations.hpp"
#include "tests/support/allocation_counter.hpp"

// What an operation costs on the event loop: operations a second, and heap allocations for each,
// which must be none.

namespace cxlvm::io {
namespace {

/// Reports operations a second and allocations for each, over the time that it lives.
class Report {
  public:
    explicit Report(benchmark::State& state) : state_(state) {}
    void finish(std::int64_t operations_per_iteration) {
        const std::uint64_t allocated = allocations_.count();
        const auto operations = static_cast<double>(state_.iterations() * operations_per_iteration);
        state_.SetItemsProcessed(state_.iterations() * operations_per_iteration);
        state_.counters["allocs/op"] = static_cast<double>(allocated) / operations;
    }

  private:
    benchmark::State& state_;
    test::AllocationCounter allocations_;
};

/// An eventfd that is signalled and read through the ring.
struct Reader {
    EventFd event{"bench"};
    std::uint64_t count = 0;
    bool done = false;
    ReadOp read{Completion::to<&Reader::on_read>(*this)};

    void on_read(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
        done = true;
    }
    void start(EventLoop& loop) noexcept {
        done = false;
        loop.start(read.set(event.fd(), std::as_writable_bytes(std::span(&count, 1))));
    }
};

/// One operation at a time: the whole way through the kernel, which has the result at once.
void eventfd_read(benchmark::State& state) {
    EventLoop loop;
    Reader reader;
    Report report(state);
    for (auto iteration : state) {
        (void)iteration;
        reader.event.signal();
        reader.start(loop);
        while (!reader.done) {
            loop.run_ready();
        }
    }
    report.finish(1);
}
BENCHMARK(eventfd_read);

/// Many operations in each submission: what one more costs.
void eventfd_reads_batched(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    EventLoop loop;
    std::vector<std::unique_ptr<Reader>> readers;
    for (std::size_t i = 0; i < batch; ++i) {
        readers.push_back(std::make_unique<Reader>());
    }
    Report report(state);
    for (auto iteration : state) {
        (void)iteration;
        for (auto& reader : readers) {
            reader->event.signal();
            reader->start(loop);
        }
        for (std::size_t done = 0; done < batch;) {
            done += loop.run_ready();
        }
    }
    report.finish(static_cast<std::int64_t>(batch));
}
BENCHMARK(eventfd_reads_batched)->Arg(32)->Arg(256)->Arg(4096);

struct Timer {
    bool done = false;
    TimeoutOp timeout{Completion::to<&Timer::on_time>(*this)};
    void on_time(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
        done = true;
    }
};

/// Sets a timer and cancels it: what a deadline costs that is kept.
void timeout_set_and_cancel(benchmark::State& state) {
    EventLoop loop;
    Timer timer;
    Report report(state);
    for (auto iteration : state) {
        (void)iteration;
        timer.done = false;
        loop.start(timer.timeout.set(std::chrono::hours(1)));
        loop.cancel(timer.timeout);
        while (!timer.done) {
            loop.run_ready();
        }
    }
    report.finish(1);
}
BENCHMARK(timeout_set_and_cancel);

struct Counter {
    std::atomic<std::uint64_t> count{0};
    void run() noexcept { count.fetch_add(1, std::memory_order_release); }
};

/// A task that the loop's own thread posts: the price of the queue alone.
void post_on_the_loop(benchmark::State& state) {
    EventLoop loop;
    Counter counter;
    Task task = Task::to<&Counter::run>(counter);
    Report report(state);
    for (auto iteration : state) {
        (void)iteration;
        loop.post(task);
        loop.run_ready();
    }
    report.finish(1);
}
BENCHMARK(post_on_the_loop);

/// A task handed to a sleeping loop and waited for: two switches between threads.
void post_to_a_sleeping_loop(benchmark::State& state) {
    EventLoop loop;
    Counter counter;
    Task task = Task::to<&Counter::run>(counter);
    std::thread thread([&] { loop.run(); });
    std::uint64_t expected = 0;
    Report report(state);
    for (auto iteration : state) {
        (void)iteration;
        loop.post(task);
        ++expected;
        while (counter.count.load(std::memory_order_acquire) != expected) {
            std::this_thread::yield();
        }
    }
    report.finish(1);
    loop.stop();
    thread.join();
}
BENCHMARK(post_to_a_sleeping_loop)->UseRealTime();

}  // namespace
}  // namespace cxlvm::io
