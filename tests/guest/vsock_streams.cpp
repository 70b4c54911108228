// SPDX-License-Identifier: Apache-2.0
// The two ends of scenario "vsock": many streams at once between a guest and its host, each with as
// many bytes in both directions, every one of which is checked.
//
// vsock_streams guest STREAMS BYTES: accepts so many at port 1000, and opens as many to port 2000
//     of the host.
// vsock_streams host SOCKET STREAMS BYTES: the same from the other side, by the VMM's unix socket.
// vsock_streams refused [SOCKET]: whether a port where nobody listens is refused.
//
// Whoever opens a stream sends its number first. Each side ends its half when it has sent all.
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr unsigned kGuestPort = 1000;
constexpr unsigned kHostPort = 2000;
constexpr unsigned kNobodysPort = 3000;

[[noreturn]] void fail(const std::string& what) {
    std::printf("vsock: wrong: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

/// Where the other end is, and where others find this one.
struct Place {
    std::string socket;  ///< of the VMM; empty in the guest
    [[nodiscard]] bool in_guest() const { return socket.empty(); }
};

sockaddr_un unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        fail("the path is too long");
    }
    path.copy(address.sun_path, path.size());
    return address;
}

sockaddr_vm vsock_address(unsigned cid, unsigned port) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    return address;
}

int listen_at(const Place& place) {
    const int fd = ::socket(place.in_guest() ? AF_VSOCK : AF_UNIX, SOCK_STREAM, 0);
    int bound = -1;
    if (place.in_guest()) {
        const sockaddr_vm address = vsock_address(VMADDR_CID_ANY, kGuestPort);
        bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else {
        const std::string path = place.socket + "_" + std::to_string(kHostPort);
        ::unlink(path.c_str());
        const sockaddr_un address = unix_address(path);
        bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    if (bound != 0 || ::listen(fd, 128) != 0) {
        fail("listen");
    }
    return fd;
}

/// From the guest to the host's port; -1 when it is refused.
int open_to_host(unsigned port) {
    const int fd = ::socket(AF_VSOCK, SOCK_STREAM, 0);
    const sockaddr_vm address = vsock_address(VMADDR_CID_HOST, port);
    if (fd < 0) {
        fail("socket");
    }
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        ::close(fd);
        return -1;
    }
    return fd;
}

/// From the host to the guest's port; -1 when it is refused.
int open_to_guest(const Place& place, unsigned port) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un address = unix_address(place.socket);
    const std::string line = "CONNECT " + std::to_string(port) + "\n";
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
        fail("connect to " + place.socket);
    }
    std::string answer;
    char byte = 0;
    while (byte != '\n') {
        if (::read(fd, &byte, 1) != 1) {
            ::close(fd);
            return -1;
        }
        answer += byte;
    }
    if (!answer.starts_with("OK ")) {
        fail("the answer is " + answer);
    }
    return fd;
}

/// The byte at `offset` of one direction of a stream.
unsigned char byte_at(std::uint32_t seed, std::uint64_t offset) {
    std::uint64_t x = (std::uint64_t{seed} << 40) + offset / 8;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return static_cast<unsigned char>((x ^ (x >> 31)) >> (offset % 8 * 8));
}

class Stream {
  public:
    Stream(int fd, bool opened, std::uint32_t number, std::uint64_t bytes)
        : fd_(fd), opened_(opened), number_(number), bytes_(bytes), named_(opened) {
        ::fcntl(fd_, F_SETFL, O_NONBLOCK);
    }

    [[nodiscard]] bool done() const { return sent_all_ && ended_; }
    [[nodiscard]] pollfd wanted() const {
        const auto events =
            static_cast<short>((ended_ ? 0 : POLLIN) | (named_ && !sent_all_ ? POLLOUT : 0));
        return {.fd = done() ? -1 : fd_, .events = events, .revents = 0};
    }
    void serve(int events) {
        if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !ended_) {
            receive();
        }
        if ((events & POLLOUT) != 0 && named_ && !sent_all_) {
            send();
        }
        if (done()) {
            ::close(fd_);
        }
    }

  private:
    void receive() {
        std::array<unsigned char, 16384> block{};
        const ssize_t size = ::read(fd_, block.data(), block.size());
        if (size < 0) {
            if (errno != EAGAIN) {
                fail("stream " + std::to_string(number_) + ": read");
            }
            return;
        }
        std::span<const unsigned char> data(block.data(), static_cast<std::size_t>(size));
        if (data.empty()) {
            if (received_ != bytes_) {
                errno = 0;
                fail("stream " + std::to_string(number_) + " ends after " +
                     std::to_string(received_));
            }
            ended_ = true;
            return;
        }
        while (!named_ && !data.empty()) {
            number_ |= std::uint32_t{data.front()} << (8 * name_bytes_);
            data = data.subspan(1);
            named_ = ++name_bytes_ == sizeof(number_);
        }
        for (const unsigned char byte : data) {
            if (received_ == bytes_ || byte != byte_at(seed(false), received_)) {
                errno = 0;
                fail("stream " + std::to_string(number_) + ": byte " + std::to_string(received_));
            }
            ++received_;
        }
    }

    void send() {
        std::array<unsigned char, 16384> block{};
        std::size_t size = 0;
        const std::uint64_t prefix = opened_ ? sizeof(number_) : 0;
        const std::uint64_t end = prefix + bytes_;
        for (; size < block.size() && sent_ + size < end; ++size) {
            const std::uint64_t at = sent_ + size;
            block[size] = at < prefix ? static_cast<unsigned char>(number_ >> (8 * at))
                                      : byte_at(seed(true), at - prefix);
        }
        const ssize_t written = ::send(fd_, block.data(), size, MSG_NOSIGNAL);
        if (written < 0 && errno != EAGAIN) {
            fail("stream " + std::to_string(number_) + ": write");
        }
        sent_ += written > 0 ? static_cast<std::uint64_t>(written) : 0;
        if (sent_ == end) {
            sent_all_ = true;
            ::shutdown(fd_, SHUT_WR);
        }
    }

    /// Of what this side sends, or gets: the other side has it the other way round.
    [[nodiscard]] std::uint32_t seed(bool ours) const {
        return number_ * 2 + (ours == opened_ ? 1U : 0U);
    }

    int fd_;
    bool opened_;  ///< by this side
    std::uint32_t number_;
    std::uint64_t bytes_;
    bool named_;  ///< the number is known
    unsigned name_bytes_ = 0;
    std::uint64_t sent_ = 0;  ///< with the number
    std::uint64_t received_ = 0;
    bool sent_all_ = false;
    bool ended_ = false;
};

void run(const Place& place, unsigned count, std::uint64_t bytes) {
    const int listener = listen_at(place);
    std::printf("vsock: listening\n");
    std::fflush(stdout);
    if (place.in_guest()) {  // the host begins when it reads the line, and then it listens itself
        pollfd first{.fd = listener, .events = POLLIN, .revents = 0};
        ::poll(&first, 1, -1);
    }
    std::vector<Stream> streams;
    for (unsigned i = 0; i < count; ++i) {
        const int fd =
            place.in_guest() ? open_to_host(kHostPort) : open_to_guest(place, kGuestPort);
        if (fd < 0) {
            fail("stream " + std::to_string(i) + " is refused");
        }
        streams.emplace_back(fd, true, i + (place.in_guest() ? 1000U : 0U), bytes);
    }
    std::vector<pollfd> wanted;
    while (streams.size() < 2 * std::size_t{count} ||
           std::ranges::any_of(streams, [](const Stream& stream) { return !stream.done(); })) {
        wanted.assign(1, {.fd = listener, .events = POLLIN, .revents = 0});
        for (const Stream& stream : streams) {
            wanted.push_back(stream.wanted());
        }
        if (::poll(wanted.data(), wanted.size(), 120'000) <= 0) {
            fail("nothing happens for two minutes");
        }
        for (std::size_t i = 0; i < streams.size(); ++i) {
            if (wanted[i + 1].revents != 0) {
                streams[i].serve(wanted[i + 1].revents);
            }
        }
        if (wanted[0].revents != 0) {
            streams.emplace_back(::accept(listener, nullptr, nullptr), false, 0U, bytes);
        }
    }
    std::printf("vsock: %zu streams of %llu bytes each way are right\n", streams.size(),
                static_cast<unsigned long long>(bytes));
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::string role = words.empty() ? "" : words[0];
    if (role == "guest" && words.size() == 3) {
        run({}, static_cast<unsigned>(std::stoul(words[1])), std::stoull(words[2]));
    } else if (role == "host" && words.size() == 4) {
        run({.socket = words[1]}, static_cast<unsigned>(std::stoul(words[2])),
            std::stoull(words[3]));
    } else if (role == "refused" && words.size() <= 2) {
        const int fd = words.size() == 1 ? open_to_host(kNobodysPort)
                                         : open_to_guest({.socket = words[1]}, kNobodysPort);
        if (fd >= 0) {
            fail("somebody is at a port where nobody listens");
        }
        std::printf("vsock: refused where nobody listens\n");
    } else {
        std::fputs(
            "usage: vsock_streams guest STREAMS BYTES | host SOCKET STREAMS BYTES | "
            "refused [SOCKET]\n",
            stderr);
        return 2;
    }
    return 0;
}
