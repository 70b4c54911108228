// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "io/event_loop.hpp"
#include "io/fd.hpp"
#include "io/log.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// What a console is called in messages.
struct ConsoleName {
    const char* option;
    const char* words;
};
inline constexpr ConsoleName kSerialName{"--serial", "serial port"};
inline constexpr ConsoleName kVirtioConsoleName{"--console", "console"};

/// Where a console leads to, and whether somebody is at the other end. All calls come from the
/// loop's thread.
class Line {
  public:
    class Owner {
      public:
        /// A peer is there: read from `input`, unless it is -1, and write to `output`.
        virtual void line_up(int input, int output) noexcept = 0;
        /// The peer has hung up; what it sent last may still be read.
        virtual void line_hung_up() noexcept = 0;
        /// idle() or delivered() may have changed.
        virtual void line_settled() noexcept = 0;

      protected:
        Owner() = default;
        Owner(const Owner&) = default;
        Owner& operator=(const Owner&) = default;
        ~Owner() = default;
    };

    Line() = default;
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;
    virtual ~Line() = default;

    /// What a user connects to; empty when there is no such thing.
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Whether another peer may come when one has gone, or has not come yet.
    [[nodiscard]] virtual bool reconnects() const noexcept { return false; }
    /// Waits for a peer, whom line_up() announces, perhaps at once.
    virtual void open() noexcept = 0;
    /// The peer has gone and nothing uses its descriptors any more: waits for another one.
    virtual void drop_peer() noexcept {}
    /// Ends everything, for good. No descriptor of a peer may be in use.
    virtual void close() noexcept {}
    [[nodiscard]] virtual bool idle() const noexcept { return true; }
    /// Whether closing now would not take away bytes that were written and not yet read. While
    /// false, line_settled() tells when to ask again.
    [[nodiscard]] virtual bool delivered() noexcept { return true; }

  protected:
    std::string path_;
};

/// Throws io::Error naming the path. Nobody is at the other end of Kind::Null.
[[nodiscard]] std::unique_ptr<Line> make_line(const SerialConfig& config, const ConsoleName& name,
                                              io::EventLoop& loop, io::Log& log,
                                              Line::Owner& owner);

[[nodiscard]] std::unique_ptr<Line> make_pty_line(io::EventLoop& loop, Line::Owner& owner);
[[nodiscard]] std::unique_ptr<Line> make_unix_line(const std::string& path, const ConsoleName& name,
                                                   io::EventLoop& loop, io::Log& log,
                                                   Line::Owner& owner);

}  // namespace cxlvm
