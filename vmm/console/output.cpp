// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/output.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace cxlvm {

namespace {
/// Written at once at most, so that a cancellation or a new mode does not wait long.
constexpr std::size_t kMaxWrite = std::size_t{64} << 10;
}  // namespace

ConsoleOutput::ConsoleOutput(io::EventLoop& loop, Owner& owner)
    : loop_(loop), owner_(owner), queue_(kCapacity, "console output") {}

ConsoleOutput::~ConsoleOutput() {
    loop_.withdraw(pump_task_);
}

std::size_t ConsoleOutput::write(std::span<const std::byte> data) noexcept {
    bool wake = false;
    std::size_t taken = 0;
    {
        io::MutexLock lock(mutex_);
        if (mode_ == Mode::Discard) {
            lost_ += data.size();
            return data.size();
        }
        taken = queue_.append(data);
        was_full_ = was_full_ || taken < data.size();
        wake = taken != 0 && !writing_ && !std::exchange(posted_, true);
    }
    if (wake) {
        loop_.post(pump_task_);
    }
    return taken;
}

std::uint64_t ConsoleOutput::lost() const noexcept {
    io::MutexLock lock(mutex_);
    return lost_;
}

bool ConsoleOutput::empty() const noexcept {
    io::MutexLock lock(mutex_);
    return queue_.empty();
}

void ConsoleOutput::connect(int fd) noexcept {
    fd_ = fd;
    set_mode(Mode::Write);
}

void ConsoleOutput::keep_latest() noexcept {
    set_mode(Mode::KeepLatest);
}

void ConsoleOutput::discard() noexcept {
    cancel_writing();
    set_mode(Mode::Discard);
}

void ConsoleOutput::disconnect() noexcept {
    {
        io::MutexLock lock(mutex_);
        if (mode_ == Mode::Write) {
            mode_ = Mode::Hold;
        }
    }
    stopping_ = !idle();
    cancel_writing();
}

void ConsoleOutput::set_mode(Mode mode) noexcept {
    {
        io::MutexLock lock(mutex_);
        mode_ = mode;
    }
    pump();
}

void ConsoleOutput::cancel_writing() noexcept {
    loop_.cancel(write_);
    loop_.cancel(poll_);
}

void ConsoleOutput::lose_locked(std::size_t count) noexcept {
    lost_ += count;
    while (count != 0) {
        const std::size_t part = std::min(count, queue_.front().size());
        queue_.consume(part);
        count -= part;
    }
}

void ConsoleOutput::on_posted() noexcept {
    {
        io::MutexLock lock(mutex_);
        posted_ = false;
    }
    pump();
}

void ConsoleOutput::pump() noexcept {
    if (!idle()) {
        return;  // the queue's front is being written: on_written comes back here
    }
    std::span<const std::byte> chunk;
    bool room = false;
    bool emptied = false;
    {
        io::MutexLock lock(mutex_);
        switch (mode_) {
            case Mode::Hold:
                return;
            case Mode::Write:
                chunk = queue_.front().first(std::min(queue_.front().size(), kMaxWrite));
                break;
            case Mode::KeepLatest:
                lose_locked(queue_.size() - std::min(queue_.size(), kReplay));
                break;
            case Mode::Discard:
                lose_locked(queue_.size());
                break;
        }
        writing_ = !chunk.empty();
        emptied = queue_.empty();
        room = queue_.room() != 0 && std::exchange(was_full_, false);
    }
    if (!chunk.empty()) {
        loop_.start(write_.set(fd_, chunk));
    }
    if (room) {
        owner_.output_room();
    }
    if (emptied) {
        owner_.output_settled();
    }
}

void ConsoleOutput::on_written(std::int32_t result, std::uint32_t /*flags*/,
                               bool /*more*/) noexcept {
    bool discarding = false;
    {
        io::MutexLock lock(mutex_);
        if (result > 0) {
            queue_.consume(static_cast<std::size_t>(result));
        }
        discarding = mode_ == Mode::Discard;
    }
    if (std::exchange(stopping_, false)) {
        if (discarding) {
            pump();
        }
        owner_.output_settled();
        return;
    }
    if (result >= 0 || result == -EINTR || discarding) {
        pump();
    } else if (result == -EAGAIN) {
        loop_.start(poll_.set(fd_, POLLOUT));
    } else if (result == -ECANCELED) {
        // Not by us: the loop stops, and nobody is left to write the rest.
        discard();
    } else {
        {
            io::MutexLock lock(mutex_);
            mode_ = Mode::Hold;
        }
        owner_.output_failed(-result);
    }
}

void ConsoleOutput::on_writable(std::int32_t result, std::uint32_t /*flags*/,
                                bool /*more*/) noexcept {
    if (result > 0 && (result & (POLLHUP | POLLERR)) != 0) {
        // The write that follows would not tell: a pseudo-terminal's master without a slave goes on
        // to say EAGAIN.
        on_written(-EPIPE, 0, false);
    } else {
        on_written(result == -ECANCELED ? result : 0, 0, false);
    }
}

}  // namespace cxlvm
