// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <cstdint>
#include <optional>

#include "io/fd.hpp"

namespace cxlvm {

/// In characters; 0 where it is not known.
struct TerminalSize {
    std::uint16_t columns = 0;
    std::uint16_t rows = 0;
};

/// A terminal that is made raw for a while: every key, Ctrl-C included, is a byte for the guest,
/// and every byte of the guest reaches the screen as it is. Restored on destruction at the latest.
class RawTerminal {
  public:
    /// Remembers the settings of `fd`, a terminal that must outlive this object. Throws io::Error.
    explicit RawTerminal(int fd);
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    ~RawTerminal() { restore(); }

    /// Whether a shell has put this process into the background of the terminal: changing the
    /// settings or reading would then stop it.
    [[nodiscard]] bool in_background() const noexcept;
    /// As the terminal has it now; nothing when it does not say.
    [[nodiscard]] std::optional<TerminalSize> size() const noexcept;
    /// Makes the terminal raw. False, with errno, when it refuses.
    [[nodiscard]] bool enter() noexcept;
    /// Puts the remembered settings back; no effect when not raw.
    void restore() noexcept;

  private:
    int fd_;
    termios saved_{};
    bool raw_ = false;
};

/// A child process that restores the terminal when this process dies by any means, SIGKILL
/// included. It does nothing else: it holds no descriptor but the terminal and a socket to us, is
/// in a session of its own, ignores the terminal's signals, and is gone when this object is.
class TerminalGuardian {
  public:
    /// Remembers the settings of `fd` and forks, so call it while the process has one thread.
    /// Does nothing when `fd` is not a terminal. Throws io::Error.
    explicit TerminalGuardian(int fd);
    TerminalGuardian(const TerminalGuardian&) = delete;
    TerminalGuardian& operator=(const TerminalGuardian&) = delete;
    /// Dismisses the child, which leaves the terminal as it is then.
    ~TerminalGuardian();

    /// The child's process id, -1 when there is none.
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  private:
    io::Fd alive_;  ///< its closing is the news of our death
    pid_t pid_ = -1;
};

}  // namespace cxlvm
