// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/passt.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "devices/virtio/net/stream_port.hpp"
#include "io/error.hpp"
#include "io/fd.hpp"
#include "io/open_error.hpp"

namespace cxlvm::virtio::net {

namespace {

io::Fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof(address.sun_path)) {
        io::throw_input(fmt::format("--net: socket={}: longer than the {} bytes of a socket's path",
                                    path, sizeof(address.sun_path) - 1));
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    io::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        io::throw_errno("--net: socket");
    }
    const int result = io::retry_eintr([&] {
        return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                         sizeof(address));
    });
    if (result == 0) {
        return socket;
    }
    if (errno == ECONNREFUSED) {
        io::throw_error(
            errno,
            fmt::format("--net: socket={}: nobody listens there; start \"passt --socket {}\" "
                        "first, or give passt alone, which starts one",
                        path, path),
            io::Fault::Input);
    }
    if (errno == EPROTOTYPE) {
        io::throw_error(errno, fmt::format("--net: socket={}: no stream socket", path),
                        io::Fault::Input);
    }
    io::throw_open_error(errno, {.path = path,
                                 .purpose = io::OpenPurpose::Write,
                                 .option = "--net",
                                 .action = "connect to"});
}

/// What the child of posix_spawn(3) does first.
class SpawnPlan {
  public:
    SpawnPlan() {
        require(::posix_spawn_file_actions_init(&actions_));
        require(::posix_spawnattr_init(&attributes_));
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;
    ~SpawnPlan() {
        ::posix_spawnattr_destroy(&attributes_);
        ::posix_spawn_file_actions_destroy(&actions_);
    }

    /// The child has `fd` as `number`.
    void give(int fd, int number) {
        require(::posix_spawn_file_actions_adddup2(&actions_, fd, number));
    }
    /// Signals as programs expect them, whatever this one blocks or ignores; and a process group of
    /// its own, so that a terminal's Ctrl-C reaches the guest alone.
    void calm_signals() {
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        require(::posix_spawnattr_setsigmask(&attributes_, &none));
        require(::posix_spawnattr_setsigdefault(&attributes_, &all));
        require(::posix_spawnattr_setpgroup(&attributes_, 0));
        require(::posix_spawnattr_setflags(
            &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
    }

    [[nodiscard]] int spawn(pid_t& child, char* const* arguments) const noexcept {
        return ::posix_spawnp(&child, arguments[0], &actions_, &attributes_, arguments, environ);
    }

  private:
    static void require(int error) {
        if (error != 0) {
            io::throw_error(error, "--net: posix_spawn");
        }
    }

    posix_spawn_file_actions_t actions_;
    posix_spawnattr_t attributes_;
};

/// Starts passt with its end of a socket pair; it ends when our end is closed (--fd implies so).
io::Fd start(std::uint16_t mtu, io::Fd& child) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        io::throw_errno("--net: socketpair");
    }
    io::Fd ours(ends[0]);
    const io::Fd theirs(ends[1]);
    constexpr int kNumber = 3;  // behind the standard ones
    SpawnPlan plan;
    plan.give(theirs.get(), kNumber);
    plan.calm_signals();
    std::vector<std::string> words = {"passt", "--foreground", "--quiet", "--fd",
                                      std::to_string(kNumber)};
    if (mtu != 0) {
        words.insert(words.end(), {"--mtu", std::to_string(mtu)});
    }
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t process = -1;
    const int error = plan.spawn(process, arguments.data());
    if (error == ENOENT) {
        io::throw_error(error,
                        "--net: passt: cannot be started; install it (apt-get install passt), or "
                        "give the socket of one that runs, socket=PATH");
    }
    if (error != 0) {
        io::throw_error(error, "--net: passt: cannot be started");
    }
    // Stays its name even if somebody else in this program waits for children. By its number: the
    // functions of glibc 2.36 cannot be linked from C++.
    child.reset(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
    if (!child) {
        io::throw_errno("--net: passt: pidfd_open");
    }
    return ours;
}

}  // namespace

Passt::Passt(const std::string& socket, std::uint16_t mtu)
    : port_{
          std::make_unique<StreamPort>(socket.empty() ? start(mtu, child_) : connect_to(socket))} {}

Passt::~Passt() {
    port_[0].reset();  // which is what ends it
    if (child_) {
        // Without waiting for that.
        ::syscall(SYS_pidfd_send_signal, child_.get(), SIGTERM, nullptr, 0);
        siginfo_t information{};
        io::retry_eintr([&] {
            return ::waitid(P_PIDFD, static_cast<id_t>(child_.get()), &information, WEXITED);
        });
    }
}

}  // namespace cxlvm::virtio::net
