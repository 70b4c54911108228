// SPDX-License-Identifier: Apache-2.0
#include "io/log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "io/error.hpp"

namespace cxlvm::io {

namespace {

constexpr std::array<std::string_view, 6> kLevelNames = {"off",  "error", "warn",
                                                         "info", "debug", "trace"};
/// Up to PIPE_BUF (4096) bytes go into a pipe whole or not at all, also when several threads write.
constexpr std::size_t kLineSize = 1024;

/// Appends formatted text to a fixed buffer and cuts what does not fit.
class Line {
  public:
    void append(fmt::string_view text, fmt::format_args args) noexcept {
        try {
            const auto result =
                fmt::vformat_to_n(buffer_.data() + size_, kTextSize - size_, text, args);
            size_ = static_cast<std::size_t>(result.out - buffer_.data());
        } catch (...) {
            append_text("(message could not be formatted)");
        }
    }
    void append_text(std::string_view text) noexcept {
        const std::size_t count = text.copy(buffer_.data() + size_, buffer_.size() - size_);
        size_ += count;
    }
    [[nodiscard]] std::string_view view() const noexcept { return {buffer_.data(), size_}; }

  private:
    static constexpr std::size_t kTextSize = kLineSize - 2;  // room for CR LF
    std::array<char, kLineSize> buffer_;
    std::size_t size_ = 0;
};

/// Whether it matters how the file was opened: others may hold the same pipe or terminal, who did
/// not ask for O_NONBLOCK, and a terminal that polls writable may have room for less than a line.
bool can_stall(const struct stat& status, int fd) noexcept {
    // Opening the master of a pseudo-terminal again would make a new one.
    const dev_t master = makedev(5, 2);
    return S_ISFIFO(status.st_mode) ||
           (S_ISCHR(status.st_mode) && status.st_rdev != master && ::isatty(fd) == 1);
}

/// The file of `fd`, opened a second time so that writing does not wait. None where that is not
/// needed, or not allowed (somebody else's terminal): then asking before each write has to do.
Fd open_unblocking(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !can_stall(status, fd)) {
        return {};
    }
    constexpr std::string_view kFolder = "/proc/self/fd/";
    std::array<char, 32> path{};  // ends in zeros
    std::to_chars(std::ranges::copy(kFolder, path.begin()).out, path.end() - 1, fd);
    return Fd(::open(path.data(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) noexcept {
    for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
        if (kLevelNames[i] == name) {
            return static_cast<LogLevel>(i);
        }
    }
    return std::nullopt;
}

std::string_view to_string(LogLevel level) noexcept {
    return kLevelNames[static_cast<std::size_t>(level)];
}

bool RateLimit::allow() noexcept {
    const std::int64_t now =
        std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
    const std::int64_t length = interval_ / std::chrono::nanoseconds(1);
    std::int64_t start = window_start_.load(std::memory_order_relaxed);
    if ((start == 0 || now - start >= length) &&
        window_start_.compare_exchange_strong(start, now, std::memory_order_relaxed)) {
        used_.store(0, std::memory_order_relaxed);
    }
    if (used_.fetch_add(1, std::memory_order_relaxed) < burst_) {
        return true;
    }
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return false;
}

Log::Log(int fd, LogLevel level) noexcept
    : fd_(fd), unblocking_(open_unblocking(fd)), level_(level) {}

void Log::write(LogLevel level, fmt::string_view text, fmt::format_args args) noexcept {
    if (!enabled(level)) {
        return;
    }
    Line line;
    line.append("cxlvm: {}: ", fmt::make_format_args(kLevelNames[static_cast<std::size_t>(level)]));
    line.append(text, args);
    line.append_text(raw_terminal_.load(std::memory_order_relaxed) ? "\r\n" : "\n");
    emit(line.view());
}

void Log::write_limited(RateLimit& limit, fmt::string_view text, fmt::format_args args) noexcept {
    write(LogLevel::Warn, text, args);
    if (const std::uint64_t suppressed = limit.take_suppressed(); suppressed != 0) {
        write(LogLevel::Warn, "{} messages like the last one were suppressed",
              fmt::make_format_args(suppressed));
    }
}

void Log::emit(std::string_view line) noexcept {
    // The caller may be a vCPU thread: ask first, so that a reader that has stopped cannot stall
    // it. A pipe without a reader reports POLLERR: writing would raise SIGPIPE.
    const int fd = unblocking_ ? unblocking_.get() : fd_;
    pollfd writable{.fd = fd, .events = POLLOUT, .revents = 0};
    if (::poll(&writable, 1, 0) != 1 || writable.revents != POLLOUT ||
        retry_eintr([&] { return ::write(fd, line.data(), line.size()); }) !=
            static_cast<ssize_t>(line.size())) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace cxlvm::io
