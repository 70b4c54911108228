// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

constexpr const char* kPath = "/dev/vhost-net";
constexpr auto kWatch = std::chrono::seconds(1);

io::Fd open_vhost() {
    io::Fd fd(io::retry_eintr([] { return ::open(kPath, O_RDWR | O_CLOEXEC); }));
    if (fd) {
        return fd;
    }
    const std::string what = fmt::format("--net: vhost: {}", kPath);
    switch (errno) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            io::throw_errno(what + ": modprobe vhost_net loads its driver; or leave vhost out");
        case EACCES:
        case EPERM:
            io::throw_errno(fmt::format(
                "{}: let root give you the right to use it, or give vhost-fd=N, or leave vhost out",
                what));
        default:
            io::throw_errno(what);
    }
}

}  // namespace

Vhost::Vhost(const NetConfig& config, const Backend& backend, io::EventLoop& loop,
             QueueOwner& owner, VhostCalls& calls)
    : loop_(loop), owner_(owner) {
    const auto ports = backend.ports();
    io::check(config.vhost_fds.empty() || config.vhost_fds.size() == ports.size(),
              "vhost has another number of descriptors than there are pairs of queues");
    for (std::size_t i = 0; i < ports.size(); ++i) {
        std::string what = fmt::format("--net: vhost: {}", kPath);
        io::Fd fd;
        if (config.vhost_fds.empty()) {
            fd = open_vhost();
        } else {
            const int number = config.vhost_fds[i];
            what = fmt::format("--net: vhost-fd={}", number);
            fd = std::move(*io::open_descriptor(fmt::format("fd={}", number), what));
        }
        pairs_.push_back(
            std::make_unique<Pair>(std::move(fd), what, *ports[i], loop_, owner_, calls));
    }
}

Vhost::~Vhost() {
    loop_.withdraw(interrupts_task_);
}

void Vhost::kick(std::uint16_t queue) const noexcept {
    if (const std::size_t pair = queue / 2U; pair < pairs_.size()) {
        (queue % 2 == 0 ? pairs_[pair]->receive : pairs_[pair]->transmit).kick();
    }
}

void Vhost::interrupts_changed() noexcept {
    if (!interrupts_posted_.exchange(true)) {
        loop_.post(interrupts_task_);
    }
}

void Vhost::on_interrupts() noexcept {
    interrupts_posted_.store(false);
    for (const auto& pair : pairs_) {
        if (!pair->receive.settle_notifications() || !pair->transmit.settle_notifications()) {
            host_->fail("the kernel does not take where its interrupts go");
            return;
        }
    }
}

bool Vhost::open(DeviceHost& host, const Activation& activation, std::size_t pairs) noexcept {
    host_ = &host;
    for (std::size_t i = 0; i < pairs; ++i) {
        if (!open_pair(*pairs_[i], i, host, activation)) {
            return false;
        }
    }
    if (watch_.idle()) {
        loop_.start(watch_.set(kWatch));
    }
    return true;
}

bool Vhost::open_pair(Pair& pair, std::size_t number, DeviceHost& host,
                      const Activation& activation) noexcept {
    const auto open = [&](VhostQueue& queue, std::size_t ring) {
        return ring >= activation.queues.size() || !activation.queues[ring].running() ||
               queue.open({.host = &host,
                           .ring = &activation.queues[ring],
                           .number = static_cast<std::uint16_t>(ring),
                           .features = activation.features});
    };
    return pair.device.set_up(activation.features, activation.queues[0].memory()) == 0 &&
           open(pair.receive, 2 * number) && open(pair.transmit, 2 * number + 1);
}

bool Vhost::use(std::size_t pairs) noexcept {
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
        if (!pairs_[i]->receive.use(i < pairs) || !pairs_[i]->transmit.use(i < pairs)) {
            return false;
        }
    }
    return true;
}

void Vhost::close() noexcept {
    host_ = nullptr;
    for (const auto& pair : pairs_) {
        pair->receive.close();
        pair->transmit.close();
    }
    loop_.cancel(watch_);
}

bool Vhost::quiet() const noexcept {
    return watch_.idle() && std::ranges::all_of(pairs_, [](const auto& pair) {
               return pair->receive.quiet() && pair->transmit.quiet();
           });
}

void Vhost::on_watch(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (host_ == nullptr) {
        owner_.queue_quiet();
        return;
    }
    if (watch_.cancel_requested()) {
        return;
    }
    pollfd tap{.fd = pairs_.front()->port.fd(), .events = 0, .revents = 0};
    if (::poll(&tap, 1, 0) > 0 && (tap.revents & (POLLERR | POLLHUP)) != 0) {
        owner_.port_ended(EBADFD);
    } else {
        loop_.start(watch_.set(kWatch));
    }
}

}  // namespace cxlvm::virtio::net
