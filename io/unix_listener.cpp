// SPDX-License-Identifier: Apache-2.0
#include "io/unix_listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "io/error.hpp"
#include "io/open_error.hpp"

namespace cxlvm::io {

namespace {

const sockaddr* generic(const sockaddr_un& address) noexcept {
    return reinterpret_cast<const sockaddr*>(&address);
}

std::string named(const UnixListener::Config& config) {
    return fmt::format("{}: {}", config.option, config.path);
}

sockaddr_un address_of(const UnixListener::Config& config) {
    const auto address = unix_address(config.path);
    if (!address) {
        throw_input(
            config.path.empty()
                ? fmt::format("{}: the path of the socket is empty; give one", config.option)
                : fmt::format("{}: the path of a socket has at most {} bytes; shorten it",
                              named(config), kMaxUnixPath));
    }
    return *address;
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
    Fd folder_;
};

/// Removes the socket that a dead process left. Refuses what is in use or is no socket.
void remove_stale(const UnixListener::Config& config, const sockaddr_un& address,
                  const FolderLock& lock) {
    struct stat status {};
    if (::lstat(config.path.c_str(), &status) != 0) {
        return;
    }
    if (!S_ISSOCK(status.st_mode)) {
        throw_input(named(config) +
                    ": it is there, and no socket; remove it, or give another path");
    }
    // Of the other type: a living listener answers EPROTOTYPE and does not see a client.
    const Fd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno != ECONNREFUSED) {
        throw_input(named(config) +
                    ": another process listens there; give each VM a socket of its own");
    }
    if (!lock.held()) {
        throw_input(named(config) +
                    ": left by a process that has ended, and its folder cannot be locked to "
                    "take it over; remove it");
    }
    ::unlink(config.path.c_str());
}

}  // namespace

std::optional<sockaddr_un> unix_address(std::string_view path) noexcept {
    if (path.empty() || path.size() > kMaxUnixPath) {
        return std::nullopt;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    return address;
}

UnixListener::UnixListener(const Config& config) : path_(config.path) {
    const sockaddr_un address = address_of(config);
    const FolderLock lock(path_);
    remove_stale(config, address, lock);
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // The mode before bind(2) is that of the file: what comes out there is its owner's alone.
    if (!socket_ || ::fchmod(socket_.get(), S_IRUSR | S_IWUSR) != 0) {
        throw_errno(fmt::format("{}: cannot make the socket {}", config.option, path_));
    }
    if (::bind(socket_.get(), generic(address), sizeof address) != 0) {
        throw_open_error(errno, {.path = path_,
                                 .purpose = OpenPurpose::Write,
                                 .option = config.option,
                                 .action = "make the socket"});
    }
    if (::listen(socket_.get(), config.backlog) != 0 || ::lstat(path_.c_str(), &identity_) != 0) {
        const int error = errno;
        ::unlink(path_.c_str());
        throw_error(error, fmt::format("{}: cannot listen on the socket {}", config.option, path_));
    }
}

UnixListener::~UnixListener() {
    struct stat now {};
    if (::lstat(path_.c_str(), &now) == 0 && now.st_dev == identity_.st_dev &&
        now.st_ino == identity_.st_ino) {
        ::unlink(path_.c_str());
    }
}

}  // namespace cxlvm::io
