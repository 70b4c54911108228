// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/stop_signals.hpp"

#include <cstring>
#include <ctime>

#include "io/error.hpp"

namespace cxlvm::cli {

namespace {

sigset_t stop_set() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

}  // namespace

BlockedSignals::BlockedSignals() {
    const sigset_t set = stop_set();
    fd_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
    if (!fd_) {
        io::throw_errno("signalfd");
    }
    ::pthread_sigmask(SIG_BLOCK, &set, &previous_mask_);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &previous_pipe_);
}

BlockedSignals::~BlockedSignals() {
    // One that came while the VM was ending has had its wish: it must not kill us when unblocked.
    const sigset_t set = stop_set();
    const timespec no_time{};
    while (::sigtimedwait(&set, nullptr, &no_time) > 0) {
    }
    ::sigaction(SIGPIPE, &previous_pipe_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &previous_mask_, nullptr);
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
    const bool at_once = asked_ || (info.ssi_signo == SIGINT && !raw_terminal_);
    asked_ = true;
    if (at_once) {
        target_.stop();
    } else {
        target_.request_power_off();
    }
    start();
}

}  // namespace cxlvm::cli
