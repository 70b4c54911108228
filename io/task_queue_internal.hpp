// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list.hpp>

#include "io/mutex.hpp"
#include "io/operation.hpp"

namespace cxlvm::io {

/// Work from other threads, and the protocol by which they end the loop's sleep: the loop says
/// that it falls asleep, and the first one who has something for it after that has to wake it.
class TaskQueue {
  public:
    using Function = Task::Function;

    TaskQueue() noexcept = default;
    TaskQueue(const TaskQueue&) = delete;
    TaskQueue& operator=(const TaskQueue&) = delete;
    /// Forgets the tasks that never ran.
    ~TaskQueue();

    // Any thread. True: the caller has to wake the loop.
    [[nodiscard]] bool post(Task& task) noexcept CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] bool request_stop() noexcept CXLVM_EXCLUDES(mutex_);
    /// As EventLoop::withdraw.
    bool withdraw(Task& task) noexcept CXLVM_EXCLUDES(mutex_);

    // The loop's thread.
    [[nodiscard]] bool stop_requested() noexcept CXLVM_EXCLUDES(mutex_);
    void clear_stop() noexcept CXLVM_EXCLUDES(mutex_);
    /// Whether the loop may sleep, since nothing has come for it.
    [[nodiscard]] bool fall_asleep() noexcept CXLVM_EXCLUDES(mutex_);
    void awake() noexcept CXLVM_EXCLUDES(mutex_);
    /// Takes what has been posted as the batch to run. What a task of the batch posts is in the
    /// next one. False: there is nothing to run.
    [[nodiscard]] bool take_batch() noexcept CXLVM_EXCLUDES(mutex_);
    /// Unlinks the first task of the batch and runs it. False: the batch is done.
    bool run_next() noexcept CXLVM_EXCLUDES(mutex_);

  private:
    // Without a size counter a task can be unlinked from whichever of the two lists it is in.
    using List = boost::intrusive::list<Task, boost::intrusive::constant_time_size<false>>;

    Mutex mutex_;
    List posted_ CXLVM_GUARDED_BY(mutex_);
    List batch_ CXLVM_GUARDED_BY(mutex_);
    bool asleep_ CXLVM_GUARDED_BY(mutex_) = false;
    bool stop_requested_ CXLVM_GUARDED_BY(mutex_) = false;
};

}  // namespace cxlvm::io
