// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "io/operations.hpp"
#include "io/unix_listener.hpp"
#include "vmm/console/line.hpp"

namespace cxlvm {

namespace {

/// A unix socket that serves one client at a time; a second one waits in the socket's backlog.
class UnixLine final : public Line {
  public:
    UnixLine(const std::string& path, const ConsoleName& name, io::EventLoop& loop, io::Log& log,
             Owner& owner);
    UnixLine(const UnixLine&) = delete;
    UnixLine& operator=(const UnixLine&) = delete;
    ~UnixLine() override = default;

    [[nodiscard]] bool reconnects() const noexcept override { return true; }
    void open() noexcept override;
    void drop_peer() noexcept override;
    void close() noexcept override;
    [[nodiscard]] bool idle() const noexcept override {
        return accept_.idle() && hang_up_.idle() && look_again_.idle() && retry_.idle();
    }

  private:
    void on_client(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_hang_up(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_look_again(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void let_client_go() noexcept;
    void on_retry(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    /// How often a client that has closed its sending half is looked at.
    static constexpr std::chrono::milliseconds kLookAgain{100};
    /// After a failed accept(2), for want of descriptors for instance.
    static constexpr std::chrono::seconds kRetry{1};

    const ConsoleName name_;
    io::EventLoop& loop_;
    io::Log& log_;
    Owner& owner_;
    io::UnixListener listener_;
    io::Fd client_;
    bool closed_ = false;
    io::AcceptOp accept_{io::Completion::to<&UnixLine::on_client>(*this)};
    io::PollOp hang_up_{io::Completion::to<&UnixLine::on_hang_up>(*this)};
    io::TimeoutOp look_again_{io::Completion::to<&UnixLine::on_look_again>(*this)};
    io::TimeoutOp retry_{io::Completion::to<&UnixLine::on_retry>(*this)};
};

UnixLine::UnixLine(const std::string& path, const ConsoleName& name, io::EventLoop& loop,
                   io::Log& log, Owner& owner)
    : name_(name),
      loop_(loop),
      log_(log),
      owner_(owner),
      listener_({.path = path, .option = name.option}) {
    path_ = path;
}

void UnixLine::open() noexcept {
    if (!closed_ && accept_.idle()) {
        loop_.start(accept_.set(listener_.fd(), false));
    }
}

void UnixLine::on_client(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (result >= 0) {
        client_.reset(result);
        if (!closed_) {
            // No events asked for: POLLHUP always tells.
            loop_.start(hang_up_.set(client_.get(), 0));
            owner_.line_up(client_.get(), client_.get());
            return;
        }
    }
    if (closed_ || result == -ECANCELED) {
        client_.reset();
        owner_.line_settled();
        return;
    }
    log_.warn("{} {}: cannot accept a client: {}", name_.words, path_,
              std::generic_category().message(-result));
    loop_.start(retry_.set(kRetry));
}

void UnixLine::on_retry(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (closed_) {
        owner_.line_settled();
    } else if (!retry_.cancel_requested()) {
        open();
    }
}

void UnixLine::on_hang_up(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (hang_up_.cancel_requested()) {
        let_client_go();
    } else if (result >= 0 && (result & (POLLHUP | POLLERR)) == 0) {
        // io_uring reports POLLRDHUP without being asked: the client will send no more, but may
        // read. A second poll would report the same at once.
        loop_.start(look_again_.set(kLookAgain));
    } else {
        owner_.line_hung_up();
    }
}

void UnixLine::on_look_again(std::int32_t /*result*/, std::uint32_t /*flags*/,
                             bool /*more*/) noexcept {
    pollfd client{.fd = client_.get(), .events = 0, .revents = 0};
    if (look_again_.cancel_requested()) {
        let_client_go();
    } else if (::poll(&client, 1, 0) != 0) {
        owner_.line_hung_up();
    } else {
        loop_.start(look_again_);
    }
}

void UnixLine::let_client_go() noexcept {
    client_.reset();
    open();  // no effect when closed
    owner_.line_settled();
}

void UnixLine::drop_peer() noexcept {
    if (!hang_up_.idle()) {
        loop_.cancel(hang_up_);
    } else if (!look_again_.idle()) {
        loop_.cancel(look_again_);
    } else {
        client_.reset();
        open();
    }
}

void UnixLine::close() noexcept {
    closed_ = true;
    loop_.cancel(accept_);
    loop_.cancel(retry_);
    drop_peer();
}

}  // namespace

std::unique_ptr<Line> make_unix_line(const std::string& path, const ConsoleName& name,
                                     io::EventLoop& loop, io::Log& log, Line::Owner& owner) {
    return std::make_unique<UnixLine>(path, name, loop, log, owner);
}

}  // namespace cxlvm
