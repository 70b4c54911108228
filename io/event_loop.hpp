// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "io/operation.hpp"

namespace cxlvm::io {

/// The only I/O engine: one io_uring and the thread that runs it.
///
/// Built on any thread (the ring starts disabled), then run() by one. Only that thread may call
/// start, start_with_timeout and cancel; before run() the constructing thread may call start too.
/// post and stop may be called from any thread. Nothing allocates after construction, whatever the
/// number of operations: what does not fit into the submission queue waits in an intrusive list.
class EventLoop {
  public:
    struct Config {
        std::uint32_t entries = 256;  ///< submission queue entries, a power of two, 2 to 32768
        const char* name = "loop";    ///< for messages
    };

    /// Throws Error; when io_uring is switched off or forbidden the message says how to enable it.
    explicit EventLoop(const Config& config);
    EventLoop() : EventLoop(Config{}) {}
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;
    /// The loop must not be running. Operations that were started and never run complete with
    /// -ECANCELED here.
    ~EventLoop();

    /// Serves operations and tasks on this thread until stop(); then cancels what is in flight,
    /// delivers every completion, and returns with all operations idle. An operation started while
    /// stopping completes with -ECANCELED from within run(), never from within start(). May be
    /// called again after it returned, by the same thread. SIGPIPE is blocked meanwhile: a write
    /// into a broken pipe or socket is a result (-EPIPE), not a signal.
    void run() noexcept;
    /// Serves what is ready, without waiting; for embedders that own the thread and for tests.
    /// Returns the number of completions delivered. Leaves SIGPIPE to the caller.
    std::size_t run_ready() noexcept;
    /// Makes run() return, the next one when none is active. Any thread, any number of times.
    void stop() noexcept;

    /// Starts `operation`, which must be idle.
    void start(Operation& operation) noexcept;
    /// Starts `operation` with `timeout` linked to it (IORING_OP_LINK_TIMEOUT): when it expires
    /// first, `operation` completes with -ECANCELED and `timeout` with -ETIME. Both complete.
    void start_with_timeout(Operation& operation, Operation& timeout) noexcept;
    /// Asks for an early end. The operation still completes exactly once: with -ECANCELED, or with
    /// its result when that came first. No effect when idle, nor on a linked timeout, which ends
    /// with its operation.
    void cancel(Operation& operation) noexcept;

    /// Runs `task` on the loop's thread, in order of posting. Any thread; wakes the loop once for
    /// any number of tasks. A task must not be posted again before it ran. Tasks posted after
    /// run() returned wait for the next run().
    void post(Task& task) noexcept;
    /// Takes a task that has not run yet back. Any thread. False: it ran, is running, or was never
    /// posted.
    bool withdraw(Task& task) noexcept;

    [[nodiscard]] bool on_loop_thread() const noexcept;

  private:
    class Ring;
    std::unique_ptr<Ring> ring_;
};

}  // namespace cxlvm::io
