// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/connection_table.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>

#include "io/error.hpp"

namespace cxlvm::virtio::vsock {

namespace {

/// Of nothing: no port is kAnyPort.
constexpr std::uint64_t kNoName = ~std::uint64_t{0};
/// Ports of the host's ends that clients on the host open: apart from those that services have.
constexpr std::uint32_t kFirstHostPort = 1U << 30;
constexpr std::uint32_t kLastHostPort = (1U << 31) - 1;

constexpr std::uint64_t name_of(Ports ports) noexcept {
    return std::uint64_t{ports.guest} << 32 | ports.host;
}

}  // namespace

ConnectionTable::ConnectionTable(io::EventLoop& loop, Connection::Owner& owner,
                                 std::uint32_t guest_cid)
    : buffers_({.size = kConnections * std::size_t{kBufferSize},
                .protection = PROT_READ | PROT_WRITE,
                .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
               "--vsock: buffers"),
      names_(kConnections, kNoName),
      next_host_port_(kFirstHostPort) {
    // A slow reader's first byte would clear 2 MiB. Fails where there are no huge pages.
    static_cast<void>(::madvise(buffers_.bytes().data(), buffers_.size(), MADV_NOHUGEPAGE));
    free_.reserve(kConnections);
    for (std::size_t i = 0; i < kConnections; ++i) {
        const auto number = static_cast<std::uint16_t>(kConnections - 1 - i);
        free_.push_back(number);  // the first is the last to be put here
        connections_.push_back(
            std::make_unique<Connection>(loop, owner, guest_cid, static_cast<std::uint16_t>(i),
                                         buffers_.bytes().subspan(i * kBufferSize, kBufferSize)));
    }
}

Connection* ConnectionTable::find(Ports ports) noexcept {
    const auto found = std::ranges::find(names_, name_of(ports));
    return found == names_.end()
               ? nullptr
               : connections_[static_cast<std::size_t>(found - names_.begin())].get();
}

Connection& ConnectionTable::take() noexcept {
    io::check(!full(), "a vsock connection is taken where none is left");
    Connection& connection = *connections_[free_.back()];
    free_.pop_back();
    return connection;
}

void ConnectionTable::attach(const Connection& connection, Ports ports) noexcept {
    names_[connection.number()] = name_of(ports);
}

void ConnectionTable::detach(const Connection& connection) noexcept {
    names_[connection.number()] = kNoName;
}

std::uint32_t ConnectionTable::choose_host_port(std::uint32_t guest_port) noexcept {
    while (true) {  // there are more ports than connections
        const std::uint32_t port = next_host_port_;
        next_host_port_ = port == kLastHostPort ? kFirstHostPort : port + 1;
        if (find({.guest = guest_port, .host = port}) == nullptr) {
            return port;
        }
    }
}

}  // namespace cxlvm::virtio::vsock
