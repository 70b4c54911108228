// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_queue.hpp"

namespace cxlvm::virtio::net {

void NetQueue::wake() noexcept {
    if (!wake_posted_.exchange(true)) {
        loop_.post(wake_task_);
    }
}

void NetQueue::open(const QueueSession& session) noexcept {
    session_ = session;
    open_ = true;
    failed_ = false;
    on_open();
    wake();
}

void NetQueue::close() noexcept {
    if (open_) {
        on_close();
        open_ = false;
    }
    loop_.cancel(poll_);
}

void NetQueue::on_wake() noexcept {
    // Before the ring is looked at: whoever comes later posts again.
    wake_posted_.store(false);
    if (open_ && !failed_) {
        serve();
    }
}

void NetQueue::wait_for(int fd, std::uint32_t events) noexcept {
    if (poll_.idle()) {
        loop_.start(poll_.set(fd, events));
    }
}

void NetQueue::on_poll(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (!open_) {
        owner_.queue_quiet();
    } else if (result < 0) {
        if (!poll_.cancel_requested()) {
            owner_.port_ended(-result);
        }
    } else if (!failed_) {
        serve();
    }
}

void NetQueue::announce() noexcept {
    ring().publish();
    if (ring().should_notify()) {
        session_.host->notify_queue(session_.number);
    }
}

std::optional<Chain> NetQueue::next_chain_if_any() noexcept {
    auto chain = ring().pop();
    if (ring().error() != QueueError::None) {
        fail(describe(ring().error()));
    }
    return chain;
}

std::optional<Chain> NetQueue::next_chain() noexcept {
    auto chain = next_chain_if_any();
    if (!chain && ring().enable_kicks()) {
        chain = next_chain_if_any();
        if (!chain) {
            wake();  // the driver moves its index to and fro: not for ever here
        }
    }
    return chain;
}

void NetQueue::fail(const char* why) noexcept {
    failed_ = true;
    session_.host->fail(why);
}

}  // namespace cxlvm::virtio::net
