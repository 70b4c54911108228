// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "io/error.hpp"
#include "io/open_error.hpp"
#include "io/operations.hpp"
#include "vmm/console/line.hpp"

namespace cxlvm {

namespace {

/// A unix socket that serves one client at a time; a second one waits in the socket's backlog.
class UnixLine final : public Line {
  public:
    UnixLine(const std::string& path, io::EventLoop& loop, io::Log& log, Owner& owner);
    UnixLine(const UnixLine&) = delete;
    UnixLine& operator=(const UnixLine&) = delete;
    ~UnixLine() override;

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

    io::EventLoop& loop_;
    io::Log& log_;
    Owner& owner_;
    io::Fd listener_;
    struct stat identity_ {};  ///< of the socket's file: another one is not ours to remove
    io::Fd client_;
    bool closed_ = false;
    io::AcceptOp accept_{io::Completion::to<&UnixLine::on_client>(*this)};
    io::PollOp hang_up_{io::Completion::to<&UnixLine::on_hang_up>(*this)};
    io::TimeoutOp look_again_{io::Completion::to<&UnixLine::on_look_again>(*this)};
    io::TimeoutOp retry_{io::Completion::to<&UnixLine::on_retry>(*this)};
};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        io::throw_input("--serial: " + path + ": the path of a socket has at most " +
                        std::to_string(sizeof address.sun_path - 1) + " bytes; shorten it");
    }
    path.copy(address.sun_path, path.size());
    return address;
}

const sockaddr* generic(const sockaddr_un& address) noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
}

/// Two VMs that start at once on one path must not both find the socket there stale: the second
/// would remove what the first has just made. So whoever makes one holds the lock of its folder
/// meanwhile, which leaves no file behind and ends with the process. Others may hold that lock for
/// purposes of their own, or the folder may not be readable: then it is not waited for longer than
/// kPatience, and nothing is removed without it.
class FolderLock {
  public:
    explicit FolderLock(const std::string& path) {
        const std::string parent = std::filesystem::path(path).parent_path().string();
        const char* const folder = parent.empty() ? "." : parent.c_str();
        folder_.reset(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const auto limit = std::chrono::steady_clock::now() + kPatience;
        while (folder_ && ::flock(folder_.get(), LOCK_EX | LOCK_NB) != 0) {
            const bool taken = errno == EWOULDBLOCK || errno == EINTR;
            if (!taken || std::chrono::steady_clock::now() > limit) {
                folder_.reset();
            } else {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
        }
    }
    [[nodiscard]] bool held() const noexcept { return static_cast<bool>(folder_); }

  private:
    static constexpr std::chrono::seconds kPatience{2};
    io::Fd folder_;
};

/// Removes the socket that a dead process left at `path`. Refuses what is in use or is no socket.
void remove_stale(const std::string& path, const sockaddr_un& address, const FolderLock& lock) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return;
    }
    if (!S_ISSOCK(status.st_mode)) {
        io::throw_input("--serial: " + path +
                        ": it is there, and no socket; remove it, or give another path");
    }
    // Of the other type: a living listener answers EPROTOTYPE and does not see a client.
    const io::Fd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno != ECONNREFUSED) {
        io::throw_input("--serial: " + path +
                        ": another process listens there; give each VM a socket of its own");
    }
    if (!lock.held()) {
        io::throw_input("--serial: " + path +
                        ": left by a process that has ended, and its folder cannot be locked to "
                        "take it over; remove it");
    }
    ::unlink(path.c_str());
}

UnixLine::UnixLine(const std::string& path, io::EventLoop& loop, io::Log& log, Owner& owner)
    : loop_(loop), log_(log), owner_(owner) {
    path_ = path;
    const sockaddr_un address = address_of(path);
    const FolderLock lock(path);
    remove_stale(path, address, lock);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // The mode before bind(2) is that of the file: a console is its owner's alone.
    if (!listener_ || ::fchmod(listener_.get(), S_IRUSR | S_IWUSR) != 0) {
        io::throw_errno("--serial: cannot make the socket " + path);
    }
    if (::bind(listener_.get(), generic(address), sizeof address) != 0) {
        io::throw_open_error(errno, {.path = path,
                                     .purpose = io::OpenPurpose::Write,
                                     .option = "--serial",
                                     .action = "make the socket"});
    }
    if (::listen(listener_.get(), 4) != 0 || ::lstat(path.c_str(), &identity_) != 0) {
        const int error = errno;
        ::unlink(path.c_str());
        io::throw_error(error, "--serial: cannot listen on the socket " + path);
    }
}

UnixLine::~UnixLine() {
    struct stat now {};
    if (::lstat(path_.c_str(), &now) == 0 && now.st_dev == identity_.st_dev &&
        now.st_ino == identity_.st_ino) {
        ::unlink(path_.c_str());
    }
}

void UnixLine::open() noexcept {
    if (!closed_ && accept_.idle()) {
        loop_.start(accept_.set(listener_.get(), false));
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
    log_.warn("serial socket {}: cannot accept a client: {}", path_,
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

std::unique_ptr<Line> make_unix_line(const std::string& path, io::EventLoop& loop, io::Log& log,
                                     Line::Owner& owner) {
    return std::make_unique<UnixLine>(path, loop, log, owner);
}

}  // namespace cxlvm
