// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/terminal.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/error.hpp"

namespace cxlvm {

namespace {

constexpr char kDismissed = 'd';

/// The guardian's whole life. Async-signal-safe calls only, since it runs between fork and exit.
[[noreturn]] void guard(int terminal, int alive, const termios& settings) noexcept {
    // A session of its own: no signal of the terminal or of the parent's group reaches it, and
    // changing a terminal that is not its own takes no foreground.
    ::setsid();
    for (const int number :
         {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE}) {
        ::signal(number, SIG_IGN);
    }
    ::prctl(PR_SET_NAME, "cxlvm-terminal");
    // Clear of 0 and 1 first: either may be there already.
    const int alive_copy = ::fcntl(alive, F_DUPFD, 3);
    const int terminal_copy = ::fcntl(terminal, F_DUPFD, 3);
    if (alive_copy < 0 || terminal_copy < 0 || ::dup2(alive_copy, 0) < 0 ||
        ::dup2(terminal_copy, 1) < 0 || ::close_range(2, ~0U, 0) != 0 || ::chdir("/") != 0) {
        ::_exit(1);
    }
    char news = 0;
    if (io::retry_eintr([&] { return ::read(0, &news, 1); }) == 0) {
        ::tcsetattr(1, TCSANOW, &settings);
    }
    ::_exit(0);
}

}  // namespace

RawTerminal::RawTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &saved_) != 0) {
        io::throw_errno("cannot read the terminal's settings");
    }
}

bool RawTerminal::in_background() const noexcept {
    const pid_t foreground = ::tcgetpgrp(fd_);
    return foreground != -1 && foreground != ::getpgrp();
}

std::optional<TerminalSize> RawTerminal::size() const noexcept {
    winsize size{};
    if (::ioctl(fd_, TIOCGWINSZ, &size) != 0) {
        return std::nullopt;
    }
    return TerminalSize{.columns = size.ws_col, .rows = size.ws_row};
}

bool RawTerminal::enter() noexcept {
    termios settings = saved_;
    ::cfmakeraw(&settings);
    raw_ = io::retry_eintr([&] { return ::tcsetattr(fd_, TCSANOW, &settings); }) == 0;
    return raw_;
}

void RawTerminal::restore() noexcept {
    if (raw_) {
        // Not TCSADRAIN: a terminal whose output is stopped would hold us up.
        (void)io::retry_eintr([&] { return ::tcsetattr(fd_, TCSANOW, &saved_); });
        raw_ = false;
    }
}

TerminalGuardian::TerminalGuardian(int fd) {
    termios settings{};
    if (::tcgetattr(fd, &settings) != 0) {
        return;
    }
    int ends[2] = {-1, -1};
    // Not a pipe: writing to a guardian that somebody has killed must not raise SIGPIPE.
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        io::throw_errno("socketpair for the terminal's guardian");
    }
    const io::Fd watched(ends[0]);
    alive_.reset(ends[1]);
    pid_ = ::fork();
    if (pid_ < 0) {
        io::throw_errno("fork of the terminal's guardian");
    }
    if (pid_ == 0) {
        guard(fd, watched.get(), settings);
    }
}

TerminalGuardian::~TerminalGuardian() {
    if (pid_ > 0) {
        (void)io::retry_eintr([&] { return ::send(alive_.get(), &kDismissed, 1, MSG_NOSIGNAL); });
        alive_.reset();
        (void)io::retry_eintr([&] { return ::waitpid(pid_, nullptr, 0); });
    }
}

}  // namespace cxlvm
