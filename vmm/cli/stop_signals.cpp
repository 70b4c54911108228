// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/stop_signals.hpp"

#include <cstring>
#include <ctime>
#include <initializer_list>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::cli {

namespace {

sigset_t set_of(std::initializer_list<int> signals) noexcept {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) {
        sigaddset(&set, signal);
    }
    return set;
}

sigset_t end_set() noexcept {
    return set_of({SIGTERM, SIGINT, SIGHUP});
}

sigset_t blocked_set() noexcept {
    return set_of({SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH});
}

/// What SIGTSTP does to a program that does not block it: stops it, unless it is ignored or nobody
/// is there who could continue it (an orphaned process group). Returns once it goes on.
void stop_this_process() noexcept {
    const sigset_t set = set_of({SIGTSTP});
    sigset_t before;
    ::raise(SIGTSTP);
    ::pthread_sigmask(SIG_UNBLOCK, &set, &before);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

BlockedSignals::BlockedSignals() {
    const sigset_t set = blocked_set();
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!fd_) {
        io::throw_errno("signalfd");
    }
    ::pthread_sigmask(SIG_BLOCK, &set, &previous_mask_);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &previous_pipe_);
    ::sigaction(SIGXFSZ, &ignore, &previous_size_);
}

BlockedSignals::~BlockedSignals() {
    // One that came while the VM was ending has had its wish: it must not kill us when unblocked.
    const sigset_t set = blocked_set();
    const timespec no_time{};
    while (::sigtimedwait(&set, nullptr, &no_time) > 0) {
    }
    ::sigaction(SIGXFSZ, &previous_size_, nullptr);
    ::sigaction(SIGPIPE, &previous_pipe_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
}

void BlockedSignals::check() const {
    const timespec no_time{};
    const sigset_t stop = set_of({SIGTSTP});
    if (::sigtimedwait(&stop, nullptr, &no_time) > 0) {
        stop_this_process();
    }
    const sigset_t end = end_set();
    if (const int signal = ::sigtimedwait(&end, nullptr, &no_time); signal > 0) {
        throw Interrupted{signal};
    }
}

StopSignals::StopSignals(const BlockedSignals& signals, io::EventLoop& loop, StopTarget& target,
                         bool raw_terminal) noexcept
    : fd_(signals.fd()),
      loop_(loop),
      target_(target),
      raw_terminal_(raw_terminal),
      read_(io::Completion::to<&StopSignals::completed>(*this)) {
    start();
}

void StopSignals::start() noexcept {
    loop_.start(read_.set(fd_, buffer_));
}

void StopSignals::completed(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (result != static_cast<std::int32_t>(buffer_.size())) {
        return;  // the loop stops
    }
    signalfd_siginfo info{};
    std::memcpy(&info, buffer_.data(), sizeof(info));
    switch (const int signal = static_cast<int>(info.ssi_signo); signal) {
        case SIGTSTP:
            target_.suspend();
            stop_this_process();
            target_.resume();
            break;
        case SIGCONT:
            target_.resume();
            break;
        case SIGWINCH:
            target_.terminal_resized();
            break;
        default:
            asked_to_end(signal);
            break;
    }
    start();
}

void StopSignals::asked_to_end(int signal) noexcept {
    const bool again = std::exchange(last_signal_, signal) != 0;
    if (again || (signal == SIGINT && !raw_terminal_)) {
        target_.stop();
    } else {
        target_.request_power_off();
    }
}

}  // namespace cxlvm::cli
