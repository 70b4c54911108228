// SPDX-License-Identifier: Apache-2.0
// unix_client SOCKET: connects to a listening unix socket, sends its standard input there and
// prints what comes back, until the other side closes. The end of the input does not end it.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <span>
#include <string_view>

namespace {

/// Copies what is there to be read. False at the end of `from`, or when either side fails.
bool copy(int from, int to) {
    std::array<char, 4096> block{};
    const ssize_t size = ::read(from, block.data(), block.size());
    if (size <= 0) {
        return false;
    }
    std::span<const char> rest(block.data(), static_cast<std::size_t>(size));
    while (!rest.empty()) {
        const ssize_t written = ::write(to, rest.data(), rest.size());
        if (written <= 0) {
            return false;
        }
        rest = rest.subspan(static_cast<std::size_t>(written));
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string_view path = arguments.size() == 2 ? arguments[1] : "";
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        std::fputs("usage: unix_client SOCKET\n", stderr);
        return 2;
    }
    path.copy(address.sun_path, path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0 ||
        ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        std::perror(arguments[1]);
        return 1;
    }
    std::array<pollfd, 2> wanted{{{.fd = socket, .events = POLLIN, .revents = 0},
                                  {.fd = 0, .events = POLLIN, .revents = 0}}};
    while (::poll(wanted.data(), wanted.size(), -1) > 0) {
        if (wanted[0].revents != 0 && !copy(socket, STDOUT_FILENO)) {
            return 0;
        }
        if (wanted[1].revents != 0 && !copy(STDIN_FILENO, socket)) {
            wanted[1].fd = -1;  // poll(2) passes over it
        }
    }
    return 1;
}
