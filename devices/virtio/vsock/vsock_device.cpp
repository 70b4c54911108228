// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/vsock_device.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::virtio::vsock {

namespace {

constexpr std::uint16_t kQueueSize = 256;
/// A packet of 64 KiB in pages, its header, and some to spare.
constexpr std::uint16_t kMaxSegments = 64;
constexpr std::array<QueueLimits, kQueues> kLimits = {{
    {.max_size = kQueueSize, .max_segments = kMaxSegments},
    {.max_size = kQueueSize, .max_segments = kMaxSegments},
    {.max_size = 8, .max_segments = 8},
}};
/// Clients who wait until they are looked at.
constexpr int kBacklog = 128;
/// "_" and the longest number.
constexpr std::size_t kPortSuffix = 11;

std::uint32_t checked_cid(std::uint32_t cid) {
    if (cid < kMinGuestCid || cid > kMaxGuestCid) {
        io::throw_input(
            fmt::format("--vsock: cid={}: give {} to {}; the others have meanings of "
                        "their own",
                        cid, kMinGuestCid, kMaxGuestCid));
    }
    return cid;
}

const std::string& checked_path(const std::string& path) {
    if (path.empty() || path.size() + kPortSuffix > io::kMaxUnixPath) {
        io::throw_input(path.empty()
                            ? std::string("--vsock: path is missing; give one")
                            : fmt::format("--vsock: path={}: it has at most {} bytes, so that the "
                                          "number of a port fits behind it; shorten it",
                                          path, io::kMaxUnixPath - kPortSuffix));
    }
    return path;
}

std::array<std::byte, kConfigSize> config_space(std::uint64_t cid) {
    std::array<std::byte, kConfigSize> bytes{};
    std::memcpy(bytes.data(), &cid, sizeof(cid));
    return bytes;
}

}  // namespace

VsockDevice::VsockDevice(const VsockConfig& config, io::EventLoop& loop, io::Log& log,
                         std::chrono::milliseconds tick)
    : cid_(checked_cid(config.cid)),
      tick_length_(tick),
      config_space_(config_space(cid_)),
      loop_(loop),
      log_(log),
      listener_({.path = checked_path(config.path), .option = "--vsock", .backlog = kBacklog}),
      receive_queue_(ConnectionTable::kConnections, kQueueSize),
      connections_(loop, *this, cid_) {}

VsockDevice::~VsockDevice() {
    loop_.withdraw(wake_task_);
    loop_.withdraw(reset_task_);
}

std::span<const QueueLimits> VsockDevice::queues() const noexcept {
    return kLimits;
}

bool VsockDevice::activate(const Activation& activation) noexcept {
    queues_ = activation.queues;
    open_.store(true, std::memory_order_release);
    wake();
    return true;
}

void VsockDevice::queue_notified(std::uint16_t /*queue*/) noexcept {
    wake();
}

void VsockDevice::reset() noexcept {
    loop_.post(reset_task_);
}

void VsockDevice::wake() noexcept {
    if (!wake_posted_.exchange(true)) {
        loop_.post(wake_task_);
    }
}

void VsockDevice::on_wake() noexcept {
    // Before the rings are looked at: whoever comes later posts again.
    wake_posted_.store(false);
    if (!open_.load(std::memory_order_acquire) || failed_) {
        return;
    }
    if (!begun_) {
        begin();
    }
    serve_transmit();
    const bool stalled = receive_queue_.replies_full();
    if (const char* const why = receive_queue_.serve()) {
        fail(why);
    }
    if (stalled && !receive_queue_.replies_full()) {
        wake();
    }
    serve_events();
    announce();
}

void VsockDevice::begin() noexcept {
    begun_ = true;
    receive_queue_.open(queues_[kReceiveQueue]);
    if (accept_.idle()) {
        loop_.start(accept_.set(listener_.fd(), false));
    }
}

void VsockDevice::fail(const char* why) noexcept {
    if (!std::exchange(failed_, true)) {
        host_->fail(why);
    }
}

void VsockDevice::serve_transmit() noexcept {
    SplitQueue& ring = queues_[kTransmitQueue];
    // A driver that sends on and on gives way to the loop's other work.
    unsigned budget = ring.max_size();
    do {
        ring.disable_kicks();
        while (!receive_queue_.replies_full()) {
            if (budget-- == 0) {
                wake();
                return;
            }
            const auto chain = ring.pop();
            if (!chain) {
                break;
            }
            if (!take_packet(*chain)) {
                ring.put(chain->head, 0);
            }
        }
        if (ring.error() != QueueError::None) {
            fail(describe(ring.error()));
            return;
        }
    } while (!receive_queue_.replies_full() && ring.enable_kicks());
}

/// Buffers of the event queue wait there for events that do not come.
void VsockDevice::serve_events() noexcept {
    SplitQueue& ring = queues_[kEventQueue];
    do {
        while (ring.pop()) {
        }
    } while (ring.enable_kicks());
    if (ring.error() != QueueError::None) {
        fail(describe(ring.error()));
    }
}

void VsockDevice::announce() noexcept {
    for (const std::uint16_t number : {kReceiveQueue, kTransmitQueue}) {
        queues_[number].publish();
        if (queues_[number].should_notify()) {
            host_->notify_queue(number);
        }
    }
}

bool VsockDevice::take_packet(const Chain& chain) noexcept {
    Packet packet;
    const PacketVerdict verdict = parse(chain, cid_, packet);
    if (verdict == PacketVerdict::NoHeader) {
        log_.guest(guest_log_limit_, "vsock: the guest sends a packet without a header");
        return false;
    }
    Connection* const connection = connections_.find(packet.ports());
    if (verdict == PacketVerdict::Malformed) {
        log_.guest(guest_log_limit_, "vsock: the guest sends a packet that is malformed");
        if (connection != nullptr) {
            connection->reject();
        } else if (packet.op() != Op::Reset) {
            receive_queue_.reply(make_reset(packet.header, cid_));
        }
        return false;
    }
    if (connection != nullptr) {
        return connection->handle(packet, chain.head);
    }
    if (packet.op() == Op::Request) {
        take_request(packet);
    } else if (packet.op() != Op::Reset) {
        receive_queue_.reply(make_reset(packet.header, cid_));
    }
    return false;
}

void VsockDevice::take_request(const Packet& packet) noexcept {
    if (connections_.full()) {
        log_.guest(guest_log_limit_,
                   "vsock: all {} connections are in use; the guest's request is refused",
                   ConnectionTable::kConnections);
        receive_queue_.reply(make_reset(packet.header, cid_));
        return;
    }
    io::Fd host = connect_to(packet.header.dst_port);
    if (!host) {
        receive_queue_.reply(make_reset(packet.header, cid_));
        return;
    }
    Connection& connection = connections_.take();
    connections_.attach(connection, packet.ports());
    connection.accept(packet.header, packet.ports(), std::move(host));
}

/// connect(2) of a unix socket ends at once when the socket does not wait: there is nothing here
/// for io_uring to do, which would poll a socket that always looks ready.
io::Fd VsockDevice::connect_to(std::uint32_t port) noexcept {
    std::array<char, io::kMaxUnixPath> path{};
    const std::string& base = listener_.path();
    char* end = std::copy(base.begin(), base.end(), path.data());
    *end++ = '_';
    end = std::to_chars(end, path.data() + path.size(), port).ptr;
    const auto address = io::unix_address(std::string_view(path.data(), end));
    io::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) {
        log_.guest(guest_log_limit_, "vsock: cannot make a socket for the guest: {}",
                   io::errno_text(errno));
        return {};
    }
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) !=
            0 ||
        ::fcntl(socket.get(), F_SETFL, 0) != 0) {
        return {};
    }
    return socket;
}

void VsockDevice::on_client(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (result >= 0) {
        take_client(io::Fd(result));
    }
    if (accept_.cancel_requested()) {
        finish_reset();
        return;
    }
    if (result < 0 && result != -EINTR && result != -ECONNABORTED) {
        log_.guest(host_log_limit_, "vsock: cannot accept a client on {}: {}", listener_.path(),
                   io::errno_text(-result));
        want_ticks();  // and then once more
        return;
    }
    loop_.start(accept_);
}

void VsockDevice::take_client(io::Fd client) noexcept {
    if (!open_.load(std::memory_order_relaxed) || failed_) {
        return;
    }
    if (connections_.full()) {
        log_.guest(host_log_limit_,
                   "vsock: all {} connections are in use; a client of {} is refused",
                   ConnectionTable::kConnections, listener_.path());
        return;
    }
    connections_.take().greet(std::move(client));
}

void VsockDevice::want_ticks() noexcept {
    if (tick_.idle()) {
        loop_.start(tick_.set(tick_length_));
    }
}

void VsockDevice::on_tick(std::int32_t /*result*/, std::uint32_t /*flags*/,
                          bool /*more*/) noexcept {
    if (tick_.cancel_requested()) {
        finish_reset();
        return;
    }
    if (accept_.idle()) {
        loop_.start(accept_);
    }
    bool again = false;
    connections_.for_each(
        [&again](Connection& connection) noexcept { again = connection.tick() || again; });
    if (again) {
        want_ticks();
    }
}

Ports VsockDevice::attach(Connection& connection, std::uint32_t guest_port) noexcept {
    const Ports ports{.guest = guest_port, .host = connections_.choose_host_port(guest_port)};
    connections_.attach(connection, ports);
    return ports;
}

void VsockDevice::want_turn(Connection& connection) noexcept {
    receive_queue_.add(connection);
    wake();
}

void VsockDevice::give_back_sent(std::uint16_t head) noexcept {
    if (begun_) {
        queues_[kTransmitQueue].put(head, 0);
        wake();
    }
}

void VsockDevice::give_back_received(const Chain& chain, std::uint32_t written) noexcept {
    receive_queue_.give_back(chain, written);
    wake();
}

void VsockDevice::detached(Connection& connection) noexcept {
    connections_.detach(connection);
}

void VsockDevice::freed(Connection& connection) noexcept {
    connections_.give_back(connection);
    finish_reset();
}

void VsockDevice::on_reset() noexcept {
    open_.store(false, std::memory_order_relaxed);
    begun_ = false;
    failed_ = false;
    receive_queue_.close();
    resetting_ = true;
    loop_.cancel(accept_);
    loop_.cancel(tick_);
    connections_.for_each([](Connection& connection) noexcept { connection.abort(); });
    finish_reset();
}

void VsockDevice::finish_reset() noexcept {
    if (resetting_ && connections_.empty() && accept_.idle() && tick_.idle()) {
        resetting_ = false;
        host_->reset_done();
    }
}

}  // namespace cxlvm::virtio::vsock
