// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/input.hpp"

#include <poll.h>

#include <cerrno>
#include <utility>

namespace cxlvm {

ConsoleInput::ConsoleInput(io::EventLoop& loop, Owner& owner)
    : loop_(loop), owner_(owner), queue_(kCapacity, "console input") {}

ConsoleInput::~ConsoleInput() {
    loop_.withdraw(ready_task_);
}

void ConsoleInput::device_ready() noexcept {
    if (!ready_posted_.exchange(true, std::memory_order_acq_rel)) {
        loop_.post(ready_task_);
    }
}

void ConsoleInput::on_device_ready() noexcept {
    ready_posted_.store(false, std::memory_order_release);
    deliver();
    read_on();
}

void ConsoleInput::start(int fd, bool terminal) noexcept {
    fd_ = fd;
    terminal_ = terminal;
    to_end_ = false;
    escape_ = {};
    read_on();
}

void ConsoleInput::stop() noexcept {
    fd_ = -1;
    stopping_ = !idle();
    loop_.cancel(read_);
    loop_.cancel(poll_);
}

void ConsoleInput::read_to_end() noexcept {
    to_end_ = true;
    read_on();
}

void ConsoleInput::read_on() noexcept {
    if (active() && idle() && (terminal_ || to_end_ || queue_.empty())) {
        loop_.start(read_.set(fd_, buffer_));
    }
}

void ConsoleInput::on_read(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (result > 0) {
        take(std::span(buffer_).first(static_cast<std::size_t>(result)));
    }
    if (std::exchange(stopping_, false)) {
        owner_.input_settled();
        return;
    }
    if (result > 0 || result == -EINTR) {
        read_on();
    } else if (result == -EAGAIN) {
        loop_.start(poll_.set(fd_, POLLIN));
    } else {
        fd_ = -1;
        if (result != -ECANCELED) {  // by the loop's stop
            owner_.input_ended(-result);
        }
    }
}

void ConsoleInput::on_readable(std::int32_t result, std::uint32_t /*flags*/,
                               bool /*more*/) noexcept {
    // Errors and hang-ups show in the read that follows.
    on_read(result == -ECANCELED ? result : -EINTR, 0, false);
}

void ConsoleInput::take(std::span<const std::byte> bytes) noexcept {
    if (!terminal_) {
        queue(bytes);
    } else {
        for (const std::byte key : bytes) {
            const EscapeFilter::Result result = escape_.feed(key);
            queue(std::span(result.bytes).first(result.count));
            if (result.command != EscapeFilter::Command::None) {
                owner_.input_command(result.command);
            }
        }
    }
    deliver();
}

void ConsoleInput::queue(std::span<const std::byte> bytes) noexcept {
    dropped_ += bytes.size() - queue_.append(bytes);
}

void ConsoleInput::deliver() noexcept {
    while (!queue_.empty() && device_ != nullptr) {
        const std::span<const std::byte> offered = queue_.front();
        const std::size_t taken = device_->receive(offered);
        queue_.consume(taken);
        if (taken < offered.size()) {
            return;  // device_ready() follows
        }
    }
}

}  // namespace cxlvm
