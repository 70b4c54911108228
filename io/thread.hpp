// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <functional>
#include <string>
#include <utility>

namespace cxlvm::io {

/// A thread of the library. Its signals are blocked as BlockSignals says, so the program's own
/// never end up on it, and its stack is 1 MiB: the usual 8 MiB of libc get a transparent huge page
/// at the first touch, which costs 2 MiB of memory and the time to clear it for each thread.
class Thread {
  public:
    Thread() noexcept = default;
    /// Runs `body`, which must not throw, on a thread called `name` (cut after 15 characters).
    /// Throws Error (Host) when there can be no more threads.
    Thread(std::string name, std::function<void()> body);
    Thread(Thread&& other) noexcept
        : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}
    Thread& operator=(Thread&& other) noexcept {
        if (this != &other) {
            join();
            handle_ = other.handle_;
            joinable_ = std::exchange(other.joinable_, false);
        }
        return *this;
    }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    ~Thread() { join(); }

    [[nodiscard]] bool joinable() const noexcept { return joinable_; }
    /// Waits for the end of the thread. Does nothing when there is none.
    void join() noexcept;
    /// For pthread_kill(3) and such, while joinable().
    [[nodiscard]] pthread_t handle() const noexcept { return handle_; }

  private:
    pthread_t handle_{};
    bool joinable_ = false;
};

}  // namespace cxlvm::io
