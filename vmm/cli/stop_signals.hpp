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

/// Holds SIGTERM, SIGINT and SIGHUP back from this thread and from those that it starts, and makes
/// them readable; ignores SIGPIPE. As they were before, on destruction.
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

  private:
    sigset_t previous_mask_{};
    struct sigaction previous_pipe_ {};
    io::Fd fd_;
};

/// What signals can ask of a VM. Called from the loop's thread.
class StopTarget {
  public:
    virtual void request_power_off() noexcept = 0;
    virtual void stop() noexcept = 0;

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
class StopSignals {
  public:
    /// The signals, the loop and the target must outlive this. Destroy it only when the loop has
    /// stopped.
    StopSignals(const BlockedSignals& signals, io::EventLoop& loop, StopTarget& target,
                bool raw_terminal) noexcept;
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    ~StopSignals() = default;

  private:
    void start() noexcept;
    void completed(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    int fd_;
    io::EventLoop& loop_;
    StopTarget& target_;
    bool raw_terminal_;

    bool asked_ = false;
    std::array<std::byte, sizeof(signalfd_siginfo)> buffer_{};
    io::ReadOp read_;
};

}  // namespace cxlvm::cli
