// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>
#include <sys/signalfd.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "io/operations.hpp"

namespace cxlvm::cli {

/// Thrown by BlockedSignals::check().
struct Interrupted {
    int signal;
};

/// Holds SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT and SIGWINCH back from this thread and from
/// those that it starts, and makes them readable; ignores SIGPIPE and SIGXFSZ, so that writing
/// fails instead. As they were before, on destruction.
///
/// Build it before any other thread, so that no thread is left to take a signal.
class BlockedSignals {
  public:
    BlockedSignals();
    BlockedSignals(const BlockedSignals&) = delete;
    BlockedSignals& operator=(const BlockedSignals&) = delete;
    ~BlockedSignals();

    /// A signalfd(2).
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// For the time in which nobody reads: throws Interrupted when SIGTERM, SIGINT or SIGHUP has
    /// come, stops the program when SIGTSTP has.
    void check() const;

  private:
    sigset_t previous_mask_{};
    struct sigaction previous_pipe_ {};
    struct sigaction previous_size_ {};
    io::Fd fd_;
};

/// What signals can ask of a VM. Called from the loop's thread.
class StopTarget {
  public:
    virtual void request_power_off() noexcept = 0;
    virtual void stop() noexcept = 0;
    /// The program is about to be stopped.
    virtual void suspend() noexcept = 0;
    /// It goes on, perhaps without having been told that it would be stopped (SIGSTOP).
    virtual void resume() noexcept = 0;
    /// The terminal may have another size now.
    virtual void terminal_resized() noexcept = 0;

  protected:
    StopTarget() = default;
    StopTarget(const StopTarget&) = default;
    StopTarget& operator=(const StopTarget&) = default;
    ~StopTarget() = default;
};

/// Reads stop signals on an event loop for as long as the loop runs.
///
/// SIGTERM and SIGHUP press the power button the first time and end the VM the second. SIGINT ends
/// the VM at once, unless a raw terminal passes Ctrl-C to the guest: then it counts like SIGTERM.
/// SIGTSTP stops the program as it would have, with the terminal as the shell expects it.
class StopSignals {
  public:
    /// The signals, the loop and the target must outlive this. Destroy it only when the loop has
    /// stopped.
    StopSignals(const BlockedSignals& signals, io::EventLoop& loop, StopTarget& target,
                bool raw_terminal) noexcept;
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    ~StopSignals() = default;

    /// The last signal that asked for an end; 0: none has.
    [[nodiscard]] int last_signal() const noexcept { return last_signal_; }

  private:
    void start() noexcept;
    void asked_to_end(int signal) noexcept;
    void completed(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    int fd_;
    io::EventLoop& loop_;
    StopTarget& target_;
    bool raw_terminal_;

    int last_signal_ = 0;
    std::array<std::byte, sizeof(signalfd_siginfo)> buffer_{};
    io::ReadOp read_;
};

}  // namespace cxlvm::cli
