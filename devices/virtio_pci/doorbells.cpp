// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/doorbells.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::virtio {

namespace {

/// What the host refuses, for want of memory most likely, it may grant this much later.
constexpr std::chrono::milliseconds kPause{100};

}  // namespace

QueueDoorbells::Bell::Bell(QueueDoorbells& its_owner, std::uint16_t its_queue)
    : owner(its_owner),
      queue(its_queue),
      event("a virtqueue's notifications"),
      poll(io::Completion::to<&Bell::on_signal>(*this)),
      pause(io::Completion::to<&Bell::on_pause_over>(*this)) {}

QueueDoorbells::QueueDoorbells(Transport& transport, io::EventLoop& loop, io::Log& log)
    : transport_(transport), loop_(loop), log_(log) {
    for (std::uint16_t queue = 0; queue < transport.queues(); ++queue) {
        bells_.push_back(std::make_unique<Bell>(*this, queue));
        const std::uint64_t offset = std::uint64_t{kNotifyMultiplier} * queue;
        const int event = bells_.back()->event.fd();
        doorbells_.push_back({.offset = kNotifyBase + offset, .eventfd = event});
        port_doorbells_.push_back({.offset = offset, .eventfd = event});
    }
}

void QueueDoorbells::start() noexcept {
    listening_ = true;
    for (const auto& bell : bells_) {
        listen(*bell);
    }
}

/// Unless it is not to be, or is being cancelled or waited with, whose end comes here once more.
void QueueDoorbells::listen(Bell& bell) noexcept {
    if (listening_ && !bell.handed_over && bell.idle()) {
        loop_.start(bell.poll.set(bell.event.fd(), POLLIN, /*multishot=*/true));
    }
}

int QueueDoorbells::hand_over(std::uint16_t queue) noexcept {
    if (queue >= bells_.size()) {
        return -1;
    }
    Bell& bell = *bells_[queue];
    bell.handed_over = true;
    bell.let_go = !bell.poll.idle();
    loop_.cancel(bell.poll);
    return bell.event.fd();
}

void QueueDoorbells::take_back(std::uint16_t queue) noexcept {
    if (queue < bells_.size()) {
        bells_[queue]->handed_over = false;
        listen(*bells_[queue]);
    }
}

void QueueDoorbells::stop(io::Task& stopped) noexcept {
    listening_ = false;
    stopped_ = &stopped;
    for (const auto& bell : bells_) {
        loop_.cancel(bell->poll);
        loop_.cancel(bell->pause);
    }
    settle();
}

bool QueueDoorbells::idle() const noexcept {
    return std::ranges::all_of(bells_, [](const auto& bell) { return bell->idle(); });
}

void QueueDoorbells::settle() noexcept {
    if (stopped_ != nullptr && idle()) {
        loop_.post(*std::exchange(stopped_, nullptr));
    }
}

void QueueDoorbells::Bell::on_signal(std::int32_t result, std::uint32_t /*flags*/,
                                     bool more) noexcept {
    if (result > 0 && !handed_over) {
        owner.transport_.notify(queue);
    }
    if (more) {
        return;
    }
    // The kernel ends a multishot request when it has no room for a completion; the signals of
    // meanwhile show at once in the next one.
    const bool ended_well = result >= 0 && !poll.cancel_requested();
    if (std::exchange(let_go, false) || ended_well) {
        owner.listen(*this);
    } else if (!poll.cancel_requested()) {
        owner.complain(result);
        owner.loop_.start(pause.set(kPause));
    }
    owner.settle();
}

void QueueDoorbells::Bell::on_pause_over(std::int32_t /*result*/, std::uint32_t /*flags*/,
                                         bool /*more*/) noexcept {
    if (!pause.cancel_requested()) {
        owner.listen(*this);
    }
    owner.settle();
}

void QueueDoorbells::complain(std::int32_t result) noexcept {
    if (!std::exchange(complained_, true)) {
        log_.warn(
            "{}: the queues' notifications cannot be waited for: {}; trying again every {} ms",
            transport_.name(), io::errno_text(-result), kPause.count());
    }
}

}  // namespace cxlvm::virtio
