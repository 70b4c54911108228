// SPDX-License-Identifier: Apache-2.0
// The two ends of the bench of networks: TCP without delays, by blocking calls where one connection
// is all there is.
//
// net_load serve PORT: does what clients ask for, one job after the other, for ever.
// net_load guest HOST PORT REQUESTS MIB: each job in turn. In front of and behind each it says
//     "phase ..." on the console, and waits there until the sample is taken (see phases.cpp):
//       request_N       a byte there and a byte back, on N connections at the same time
//       stream_send     to the server, which answers when it has all of it; counted by MiB
//       stream_receive  from the server
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

enum class Kind : std::uint32_t { Requests, Send, Receive };

/// What a client says first, on the first of its connections.
struct Job {
    Kind kind = Kind::Requests;
    std::uint32_t connections = 1;
    std::uint64_t bytes = 0;  ///< of a stream
};

constexpr std::uint64_t kMib = 1 << 20;

[[noreturn]] void die(const std::string& what) {
    std::perror(("net_load: " + what).c_str());
    std::exit(1);
}

class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {
        const int yes = 1;
        if (fd < 0 || ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) {
            die("socket");
        }
    }
    Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    Socket& operator=(Socket&&) = delete;
    ~Socket() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int fd() const { return fd_; }

    void send(const void* data, std::size_t bytes) const {
        if (::send(fd_, data, bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) {
            die("send");
        }
    }
    /// All of it; false when the other end has closed.
    [[nodiscard]] bool receive(void* data, std::size_t bytes) const {
        const ssize_t count = ::recv(fd_, data, bytes, MSG_WAITALL);
        if (count < 0) {
            die("recv");
        }
        return static_cast<std::size_t>(count) == bytes;
    }
    void expect(void* data, std::size_t bytes) const {
        if (!receive(data, bytes)) {
            std::fputs("net_load: the other end has closed\n", stderr);
            std::exit(1);
        }
    }
    void send_stream(std::uint64_t bytes) const {
        const std::vector<char> block(128 * 1024, 'x');
        for (; bytes != 0; bytes -= block.size()) {
            send(block.data(), block.size());
        }
    }
    void receive_stream(std::uint64_t bytes) const {
        std::vector<char> block(128 * 1024);
        while (bytes != 0) {
            const ssize_t count = ::recv(fd_, block.data(), block.size(), 0);
            if (count <= 0) {
                die("recv");
            }
            bytes -= static_cast<std::uint64_t>(count);
        }
    }

  private:
    int fd_;
};

/// Calls `handle` with each of the sockets that has something to read, until it says false.
template <typename Handle>
void serve_each(std::span<const Socket> sockets, Handle&& handle) {
    std::vector<pollfd> polls;
    for (const Socket& socket : sockets) {
        polls.push_back({.fd = socket.fd(), .events = POLLIN, .revents = 0});
    }
    while (true) {
        // With one connection the reading itself waits.
        if (sockets.size() > 1 && ::poll(polls.data(), polls.size(), -1) < 0) {
            die("poll");
        }
        for (std::size_t i = 0; i < sockets.size(); ++i) {
            if ((sockets.size() == 1 || polls[i].revents != 0) && !handle(sockets[i])) {
                return;
            }
        }
    }
}

void serve(std::uint16_t port) {
    const Socket listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    const int yes = 1;
    ::setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (::bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener.fd(), 64) != 0) {
        die("listen");
    }
    while (true) {
        std::vector<Socket> sockets;
        const auto accept = [&] {
            sockets.emplace_back(::accept(listener.fd(), nullptr, nullptr));
        };
        accept();
        const Socket& first = sockets.front();
        Job job;
        first.expect(&job, sizeof(job));
        char byte = 0;
        switch (job.kind) {
            case Kind::Requests:
                while (sockets.size() < job.connections) {
                    accept();
                }
                sockets.front().send(&byte, 1);
                serve_each(sockets, [&byte](const Socket& socket) {
                    const bool asked = socket.receive(&byte, 1);
                    if (asked) {
                        socket.send(&byte, 1);
                    }
                    return asked;
                });
                break;
            case Kind::Send:
                first.receive_stream(job.bytes);
                first.send(&byte, 1);
                break;
            case Kind::Receive:
                first.send_stream(job.bytes);
                break;
        }
    }
}

class Guest {
  public:
    Guest(const char* host, std::uint16_t port) {
        address_.sin_family = AF_INET;
        address_.sin_port = htons(port);
        if (::inet_pton(AF_INET, host, &address_.sin_addr) != 1) {
            die(host);
        }
        if (console_ == nullptr) {
            die("/dev/console");
        }
        ::setbuf(console_, nullptr);
    }

    void run_requests(const std::string& name, std::uint32_t connections, std::uint64_t requests) {
        std::vector<Socket> sockets;
        sockets.push_back(begin_job({Kind::Requests, connections, 0}));
        while (sockets.size() < connections) {
            sockets.push_back(connect());
        }
        char byte = 'x';
        sockets.front().expect(&byte, 1);  // it has them all
        mark("begin " + name);
        std::uint64_t asked = 0;
        for (const Socket& socket : sockets) {
            socket.send(&byte, 1);
            ++asked;
        }
        std::uint64_t answered = 0;
        serve_each(sockets, [&](const Socket& socket) {
            socket.expect(&byte, 1);
            if (asked < requests) {
                socket.send(&byte, 1);
                ++asked;
            }
            return ++answered < requests;
        });
        mark("end " + name + " " + std::to_string(requests));
    }

    void run_send(std::uint64_t mib) {
        mark("begin stream_send");
        const Socket socket = begin_job({Kind::Send, 1, mib * kMib});
        socket.send_stream(mib * kMib);
        char byte = 0;
        socket.expect(&byte, 1);
        mark("end stream_send " + std::to_string(mib));
    }

    void run_receive(std::uint64_t mib) {
        mark("begin stream_receive");
        const Socket socket = begin_job({Kind::Receive, 1, mib * kMib});
        socket.receive_stream(mib * kMib);
        mark("end stream_receive " + std::to_string(mib));
    }

  private:
    [[nodiscard]] Socket connect() const {
        Socket socket(::socket(AF_INET, SOCK_STREAM, 0));
        if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address_),
                      sizeof(address_)) != 0) {
            die("connect");
        }
        return socket;
    }
    [[nodiscard]] Socket begin_job(const Job& job) const {
        Socket socket = connect();
        socket.send(&job, sizeof(job));
        return socket;
    }
    void mark(const std::string& text) {
        std::fprintf(console_, "phase %s\n", text.c_str());
        int character = 0;
        while (character != '\n') {
            character = std::fgetc(console_);
            if (character == EOF) {
                die("/dev/console");
            }
        }
    }

    sockaddr_in address_{};
    std::FILE* console_ = std::fopen("/dev/console", "r+e");
};

}  // namespace

int main(int argc, char** argv) {
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    const auto number = [&](std::size_t i) { return std::strtoull(arguments[i], nullptr, 10); };
    if (argc == 3 && std::string_view(arguments[1]) == "serve") {
        serve(static_cast<std::uint16_t>(number(2)));
        return 0;
    }
    if (argc != 6 || std::string_view(arguments[1]) != "guest") {
        std::fputs("usage: net_load serve PORT | net_load guest HOST PORT REQUESTS MIB\n", stderr);
        return 2;
    }
    Guest guest(arguments[2], static_cast<std::uint16_t>(number(3)));
    const std::uint64_t requests = number(4);
    guest.run_requests("warm_up", 1, requests / 4);
    for (const std::uint32_t connections : {1U, 16U}) {
        guest.run_requests("request_" + std::to_string(connections), connections, requests);
    }
    guest.run_send(number(5));
    guest.run_receive(number(5));
    return 0;
}
