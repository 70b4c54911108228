// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/loop_queue.hpp"

#include <utility>

namespace cxlvm::virtio {

void LoopQueue::open(DeviceHost& host, SplitQueue& ring) noexcept {
    host_ = &host;
    ring_ = &ring;
    open_.store(true, std::memory_order_release);
}

void LoopQueue::wake() noexcept {
    if (!wake_posted_.exchange(true)) {
        loop_.post(wake_task_);
    }
}

void LoopQueue::close() noexcept {
    open_.store(false, std::memory_order_relaxed);
    current_.reset();
}

void LoopQueue::on_wake() noexcept {
    // Before the ring is looked at: whoever comes later posts again.
    wake_posted_.store(false);
    run();
}

void LoopQueue::run() noexcept {
    if (!is_open() || std::exchange(running_, true)) {
        return;
    }
    serve();
    running_ = false;
    ring_->publish();
    if (ring_->should_notify()) {
        host_->notify_queue(number_);
    }
}

bool LoopQueue::take() noexcept {
    if (current_) {
        return true;
    }
    ring_->disable_kicks();
    do {
        current_ = ring_->pop();
    } while (!current_ && ring_->error() == QueueError::None && ring_->enable_kicks());
    if (ring_->error() != QueueError::None) {
        host_->fail(describe(ring_->error()));
    }
    return current_.has_value();
}

void LoopQueue::serve() noexcept {
    for (std::uint16_t served = 0; take(); ++served) {
        if (served == round_) {
            wake();
            return;
        }
        std::uint32_t written = 0;
        const Turn turn = server_.serve(number_, *current_, written);
        if (turn == Turn::Later) {
            wake();
        }
        if (turn != Turn::Done) {
            return;
        }
        ring_->put(current_->head, written);
        current_.reset();
    }
}

}  // namespace cxlvm::virtio
