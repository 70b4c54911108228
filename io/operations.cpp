// SPDX-License-Identifier: Apache-2.0
#include "io/operations.hpp"

#include <liburing.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "io/error.hpp"
#include "io/event_loop.hpp"

namespace cxlvm::io {

namespace {

/// What read(2) and write(2) move at most in one call.
constexpr std::size_t kMaxTransfer = 0x7fff'f000;

unsigned transfer_size(std::size_t size) noexcept {
    return static_cast<unsigned>(std::min(size, kMaxTransfer));
}

static_assert(sizeof(TimeSpec) == sizeof(__kernel_timespec));
static_assert(offsetof(__kernel_timespec, tv_nsec) == offsetof(TimeSpec, nanoseconds));

__kernel_timespec* kernel_time(TimeSpec& time) noexcept {
    return reinterpret_cast<__kernel_timespec*>(&time);
}

TimeSpec to_time_spec(std::chrono::nanoseconds delay) noexcept {
    const auto clamped = std::max(delay, std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(clamped);
    return {.seconds = seconds.count(), .nanoseconds = (clamped - seconds).count()};
}

}  // namespace

Operation::~Operation() {
    check(idle(), "an io::Operation was destroyed before it completed");
}

ReadOp& ReadOp::set(int fd, std::span<std::byte> buffer, std::uint64_t offset) noexcept {
    fd_ = fd;
    buffer_ = buffer;
    offset_ = offset;
    return *this;
}

void ReadOp::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_read(&sqe, fd_, buffer_.data(), transfer_size(buffer_.size()), offset_);
}

WriteOp& WriteOp::set(int fd, std::span<const std::byte> buffer, std::uint64_t offset) noexcept {
    fd_ = fd;
    buffer_ = buffer;
    offset_ = offset;
    return *this;
}

void WriteOp::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_write(&sqe, fd_, buffer_.data(), transfer_size(buffer_.size()), offset_);
}

PollOp& PollOp::set(int fd, std::uint32_t events, bool multishot) noexcept {
    fd_ = fd;
    events_ = events;
    multishot_ = multishot;
    return *this;
}

void PollOp::prepare(io_uring_sqe& sqe) noexcept {
    if (multishot_) {
        io_uring_prep_poll_multishot(&sqe, fd_, events_);
    } else {
        io_uring_prep_poll_add(&sqe, fd_, events_);
    }
}

TimeoutOp& TimeoutOp::set(std::chrono::nanoseconds delay) noexcept {
    delay_ = to_time_spec(delay);
    return *this;
}

void TimeoutOp::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_timeout(&sqe, kernel_time(delay_), 0, 0);
}

LinkTimeoutOp& LinkTimeoutOp::set(std::chrono::nanoseconds delay) noexcept {
    delay_ = to_time_spec(delay);
    return *this;
}

void LinkTimeoutOp::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_link_timeout(&sqe, kernel_time(delay_), 0);
}

AcceptOp& AcceptOp::set(int listener, bool multishot) noexcept {
    listener_ = listener;
    multishot_ = multishot;
    return *this;
}

void AcceptOp::prepare(io_uring_sqe& sqe) noexcept {
    if (multishot_) {
        io_uring_prep_multishot_accept(&sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    } else {
        io_uring_prep_accept(&sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    }
}

WakeOp::WakeOp(EventLoop& loop, const EventFd& event, Task::Function notify, void* object) noexcept
    : loop_(loop), event_(event), notify_(notify), object_(object) {}

void WakeOp::prepare(io_uring_sqe& sqe) noexcept {
    io_uring_prep_read(&sqe, event_.fd(), &count_, sizeof count_, 0);
}

void WakeOp::complete(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    const bool woken = result == std::int32_t{sizeof count_};
    const bool again = woken || result == -EAGAIN || result == -EINTR;
    // `notify` may cancel or, once idle, destroy this object: start first, touch nothing after.
    const auto notify = notify_;
    void* const object = object_;
    if (again && !cancel_requested()) {
        loop_.start(*this);
    }
    if (woken) {
        notify(object);
    }
}

}  // namespace cxlvm::io
