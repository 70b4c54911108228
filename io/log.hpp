// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "io/fd.hpp"

namespace cxlvm::io {

enum class LogLevel : std::uint8_t { Off, Error, Warn, Info, Debug, Trace };

/// "off", "error", ... as `--log` takes them.
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view name) noexcept;
[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

/// Bounds what one call site may log: `burst` messages at once, then `burst` per interval. Any
/// thread. Each device owns the limits for what its guest can trigger.
class RateLimit {
  public:
    explicit constexpr RateLimit(std::uint32_t burst = 10,
                                 std::chrono::seconds interval = std::chrono::seconds(5)) noexcept
        : burst_(burst), interval_(interval) {}

    /// Whether a message may be written now; refused ones are counted.
    [[nodiscard]] bool allow() noexcept;
    /// Messages refused since this was last called.
    [[nodiscard]] std::uint64_t take_suppressed() noexcept { return suppressed_.exchange(0); }

  private:
    std::uint32_t burst_;
    std::chrono::seconds interval_;
    std::atomic<std::int64_t> window_start_{0};
    std::atomic<std::uint64_t> used_{0};  ///< 64 bits: no flood makes it wrap round to "allowed"
    std::atomic<std::uint64_t> suppressed_{0};
};

/// Where messages go: one line each, "cxlvm: LEVEL: text", to a descriptor that it does not own.
///
/// Any thread. Never throws, allocates or waits for a reader: a line is formatted into a fixed
/// buffer (longer text is cut) and dropped, and counted, when the descriptor cannot take it at
/// once. There is no global logger: whoever logs is given one.
class Log {
  public:
    /// `fd` must outlive the Log. It stays in the mode it is in: a terminal or pipe is opened a
    /// second time, to be written without waiting.
    explicit Log(int fd = 2, LogLevel level = LogLevel::Warn) noexcept;

    [[nodiscard]] bool enabled(LogLevel level) const noexcept { return level <= this->level(); }
    [[nodiscard]] LogLevel level() const noexcept { return level_.load(std::memory_order_relaxed); }
    void set_level(LogLevel level) noexcept { level_.store(level, std::memory_order_relaxed); }
    /// Lines end in CR LF while on: the terminal is raw.
    void set_raw_terminal(bool raw) noexcept {
        raw_terminal_.store(raw, std::memory_order_relaxed);
    }

    template <typename... Args>
    void error(fmt::format_string<Args...> text, Args&&... args) noexcept {
        write(LogLevel::Error, text, fmt::make_format_args(args...));
    }
    template <typename... Args>
    void warn(fmt::format_string<Args...> text, Args&&... args) noexcept {
        write(LogLevel::Warn, text, fmt::make_format_args(args...));
    }
    template <typename... Args>
    void info(fmt::format_string<Args...> text, Args&&... args) noexcept {
        write(LogLevel::Info, text, fmt::make_format_args(args...));
    }
    template <typename... Args>
    void debug(fmt::format_string<Args...> text, Args&&... args) noexcept {
        write(LogLevel::Debug, text, fmt::make_format_args(args...));
    }
    /// For everything that a guest can trigger, at Warn.
    template <typename... Args>
    void guest(RateLimit& limit, fmt::format_string<Args...> text, Args&&... args) noexcept {
        if (enabled(LogLevel::Warn) && limit.allow()) {
            write_limited(limit, text, fmt::make_format_args(args...));
        }
    }

    /// Lines lost, or cut short, because the descriptor could not take them.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(); }

  private:
    void write(LogLevel level, fmt::string_view text, fmt::format_args args) noexcept;
    void write_limited(RateLimit& limit, fmt::string_view text, fmt::format_args args) noexcept;
    void emit(std::string_view line) noexcept;

    int fd_;
    Fd unblocking_;  ///< the same terminal or pipe, non-blocking; none for other files
    std::atomic<LogLevel> level_;
    std::atomic<bool> raw_terminal_{false};
    std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace cxlvm::io
