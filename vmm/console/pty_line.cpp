// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <termios.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "io/error.hpp"
#include "io/operations.hpp"
#include "vmm/console/line.hpp"

namespace cxlvm {

namespace {

/// A pseudo-terminal. Its master shows a hang-up while nobody has the slave open; that somebody
/// opens it is no event of the master, so an inotify watch on the slave tells.
class PtyLine final : public Line {
  public:
    PtyLine(io::EventLoop& loop, Owner& owner);

    [[nodiscard]] bool reconnects() const noexcept override { return true; }
    void open() noexcept override { drop_peer(); }
    void drop_peer() noexcept override;
    void close() noexcept override;
    [[nodiscard]] bool idle() const noexcept override {
        return wait_for_open_.idle() && ask_again_.idle();
    }
    [[nodiscard]] bool delivered() noexcept override;

  private:
    [[nodiscard]] io::Fd open_slave() const noexcept {
        return io::Fd(::open(path_.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    }
    [[nodiscard]] bool has_peer() const noexcept;
    void on_opened(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_ask_again(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    /// How often an unread slave is looked at when the VM has ended.
    static constexpr std::chrono::milliseconds kDeliveryCheck{5};

    /// A reader that is just taking the last of one buffer has not asked for the next one yet, so
    /// that looking once is not enough.
    static constexpr int kEmptyLooks = 3;

    io::EventLoop& loop_;
    Owner& owner_;
    io::Fd master_;
    io::Fd opened_;  ///< inotify
    bool closed_ = false;
    int empty_looks_ = 0;
    alignas(inotify_event) std::array<std::byte, 512> events_{};
    io::ReadOp wait_for_open_{io::Completion::to<&PtyLine::on_opened>(*this)};
    io::TimeoutOp ask_again_{io::Completion::to<&PtyLine::on_ask_again>(*this)};
};

PtyLine::PtyLine(io::EventLoop& loop, Owner& owner) : loop_(loop), owner_(owner) {
    master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!master_) {
        io::throw_errno("cannot make a pseudo-terminal (is /dev/pts mounted?)");
    }
    std::array<char, 64> name{};
    if (::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0 ||
        ::ptsname_r(master_.get(), name.data(), name.size()) != 0) {
        io::throw_errno("cannot set the pseudo-terminal up");
    }
    path_ = name.data();
    // Raw from the start: an echo would come back to the guest as input. Closing the slave again
    // makes the master show that nobody is there.
    const io::Fd slave = open_slave();
    termios settings{};
    if (!slave || ::tcgetattr(slave.get(), &settings) != 0) {
        io::throw_errno("cannot open the pseudo-terminal " + path_);
    }
    ::cfmakeraw(&settings);
    if (::tcsetattr(slave.get(), TCSANOW, &settings) != 0) {
        io::throw_errno("cannot make the pseudo-terminal " + path_ + " raw");
    }
    opened_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!opened_ || ::inotify_add_watch(opened_.get(), path_.c_str(), IN_OPEN) < 0) {
        io::throw_errno("cannot watch the pseudo-terminal " + path_ +
                        " (see fs.inotify.max_user_instances)");
    }
}

bool PtyLine::has_peer() const noexcept {
    pollfd master{.fd = master_.get(), .events = 0, .revents = 0};
    return ::poll(&master, 1, 0) >= 0 && (master.revents & POLLHUP) == 0;
}

void PtyLine::drop_peer() noexcept {
    if (closed_) {
        return;
    }
    // The watch first: whoever opens the slave after the look at it is in its queue.
    if (has_peer()) {
        owner_.line_up(master_.get(), master_.get());
    } else if (wait_for_open_.idle()) {
        loop_.start(wait_for_open_.set(opened_.get(), events_));
    }
}

void PtyLine::on_opened(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (closed_ || result == -ECANCELED) {
        owner_.line_settled();
    } else {
        drop_peer();
    }
}

bool PtyLine::delivered() noexcept {
    // Closing the master takes what the slave's reader has not read yet. Only poll(2) on the slave
    // waits for the kernel's own worker to hand bytes over first.
    if (!has_peer()) {
        return true;
    }
    if (!ask_again_.idle()) {
        return false;
    }
    const io::Fd slave = open_slave();
    pollfd unread{.fd = slave.get(), .events = POLLIN, .revents = 0};
    const bool empty = !slave || ::poll(&unread, 1, 0) != 1;
    empty_looks_ = empty ? empty_looks_ + 1 : 0;
    if (empty_looks_ >= kEmptyLooks) {
        return true;
    }
    loop_.start(ask_again_.set(kDeliveryCheck));
    return false;
}

void PtyLine::on_ask_again(std::int32_t /*result*/, std::uint32_t /*flags*/,
                           bool /*more*/) noexcept {
    if (!ask_again_.cancel_requested() || closed_) {
        owner_.line_settled();
    }
}

void PtyLine::close() noexcept {
    closed_ = true;
    loop_.cancel(wait_for_open_);
    loop_.cancel(ask_again_);
}

}  // namespace

std::unique_ptr<Line> make_pty_line(io::EventLoop& loop, Line::Owner& owner) {
    return std::make_unique<PtyLine>(loop, owner);
}

}  // namespace cxlvm
