// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>

#include "io/mutex.hpp"

namespace cxlvm::vfio {

/// Resets that many threads ask for and that take long: one runs at a time, and one serves all that
/// asked before it began. So however many wait, each waits for two at most.
class ResetQueue {
  public:
    ResetQueue() = default;
    ResetQueue(const ResetQueue&) = delete;
    ResetQueue& operator=(const ResetQueue&) = delete;
    ~ResetQueue() = default;

    /// Returns when a `reset` has run, here or in another thread, that began after the call; or
    /// once the queue is closed, but not before a reset that runs here has come to its end. `reset`
    /// is noexcept, the same for all, and called without a lock of the queue.
    template <typename Reset>
    void run(Reset&& reset) noexcept CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        const std::uint64_t served_by = begun_ + 1;
        while (ended_ < served_by && !closed_) {
            if (begun_ != ended_) {
                ++waiting_;
                changed_.wait(mutex_);
                --waiting_;
                continue;
            }
            ++begun_;
            mutex_.unlock();
            reset();
            mutex_.lock();
            ended_ = begun_;
            changed_.notify_all();
        }
    }

    /// For good: no reset begins any more, and nobody waits for one. Does not wait. Any thread.
    void close() noexcept CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }
    [[nodiscard]] bool closed() noexcept CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        return closed_;
    }
    /// Threads that wait in run() for a reset that another one runs.
    [[nodiscard]] unsigned waiting() noexcept CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        return waiting_;
    }

  private:
    io::Mutex mutex_;  ///< not held while a reset runs; no other lock is taken under it
    std::condition_variable_any changed_;
    // State. Begun and not ended is one at most.
    std::uint64_t begun_ CXLVM_GUARDED_BY(mutex_) = 0;
    std::uint64_t ended_ CXLVM_GUARDED_BY(mutex_) = 0;
    unsigned waiting_ CXLVM_GUARDED_BY(mutex_) = 0;
    bool closed_ CXLVM_GUARDED_BY(mutex_) = false;
};

}  // namespace cxlvm::vfio
