// SPDX-License-Identifier: Apache-2.0
#include "io/task_queue_internal.hpp"

#include <utility>

#include "io/error.hpp"

namespace cxlvm::io {

TaskQueue::~TaskQueue() {
    MutexLock lock(mutex_);
    posted_.clear();
    batch_.clear();
}

bool TaskQueue::post(Task& task) noexcept {
    MutexLock lock(mutex_);
    check(!task.is_linked(), "EventLoop::post was given a task that has not run");
    posted_.push_back(task);
    return std::exchange(asleep_, false);
}

bool TaskQueue::request_stop() noexcept {
    MutexLock lock(mutex_);
    stop_requested_ = true;
    return std::exchange(asleep_, false);
}

bool TaskQueue::withdraw(Task& task) noexcept {
    MutexLock lock(mutex_);
    if (!task.is_linked()) {
        return false;
    }
    posted_.erase(List::s_iterator_to(task));
    return true;
}

bool TaskQueue::stop_requested() noexcept {
    MutexLock lock(mutex_);
    return stop_requested_;
}

void TaskQueue::clear_stop() noexcept {
    MutexLock lock(mutex_);
    stop_requested_ = false;
}

bool TaskQueue::fall_asleep() noexcept {
    MutexLock lock(mutex_);
    asleep_ = posted_.empty() && !stop_requested_;
    return asleep_;
}

void TaskQueue::awake() noexcept {
    MutexLock lock(mutex_);
    asleep_ = false;
}

bool TaskQueue::take_batch() noexcept {
    MutexLock lock(mutex_);
    batch_.splice(batch_.end(), posted_);
    return !batch_.empty();
}

bool TaskQueue::run_next() noexcept {
    Function function = nullptr;
    void* object = nullptr;
    {
        MutexLock lock(mutex_);
        if (batch_.empty()) {
            return false;
        }
        // Copied: once unlinked, the task may be posted again or destroyed.
        function = batch_.front().function_;
        object = batch_.front().object_;
        batch_.pop_front();
    }
    function(object);
    return true;
}

}  // namespace cxlvm::io
