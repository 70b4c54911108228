// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "devices/virtio/net/backend.hpp"
#include "devices/virtio/net/net_queue.hpp"
#include "devices/virtio/net/vhost_device.hpp"
#include "io/event_loop.hpp"
#include "io/eventfd.hpp"
#include "io/operations.hpp"

namespace cxlvm::virtio::net {

/// One virtqueue that the kernel serves: the driver's notifications go to the kernel, and its
/// notifications to the driver, past us where the transport has a way, and else by this.
class VhostQueue {
  public:
    /// All outlive this. Throws Error.
    VhostQueue(VhostDevice& device, VhostDevice::Ring ring, const Port& port, io::EventLoop& loop,
               QueueOwner& owner);
    VhostQueue(const VhostQueue&) = delete;
    VhostQueue& operator=(const VhostQueue&) = delete;
    ~VhostQueue() = default;

    /// The driver says that there are chains. Any thread.
    void kick() const noexcept;

    // The loop's thread.
    /// Tells the kernel where the ring is, which moves nothing before use(). False: it refuses.
    [[nodiscard]] bool open(const QueueSession& session) noexcept;
    /// Whether frames are moved. False: refused. Of a queue that is not open: without effect.
    [[nodiscard]] bool use(bool used) noexcept;
    /// The way of notifications to the driver may have changed: finds the present one, and notifies
    /// the driver for what may have got lost. False: refused. Without effect as above.
    [[nodiscard]] bool settle_notifications() noexcept;
    /// The ring is not touched any more. The owner hears when the queue is quiet, unless it is.
    void close() noexcept;
    [[nodiscard]] bool quiet() const noexcept {
        return !open_ && call_poll_.idle() && error_poll_.idle();
    }

  private:
    [[nodiscard]] bool connect_notifications() noexcept;
    void listen(io::PollOp& poll, const io::EventFd& event) noexcept;
    void on_call(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_error(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    // Wiring.
    VhostDevice& device_;
    const VhostDevice::Ring ring_;
    const Port& port_;
    io::EventLoop& loop_;
    QueueOwner& owner_;
    const io::EventFd kick_;   ///< where the host has none
    const io::EventFd call_;   ///< the same
    const io::EventFd error_;  ///< the kernel cannot make sense of the ring
    io::PollOp call_poll_{io::Completion::to<&VhostQueue::on_call>(*this)};
    io::PollOp error_poll_{io::Completion::to<&VhostQueue::on_error>(*this)};
    /// The one of kick_ and the host's that the kernel listens to; they live as long as the host.
    /// -1: closed.
    std::atomic<int> kick_fd_{-1};
    // State; the loop's thread.
    bool open_ = false;
    bool used_ = false;
    QueueSession session_;
};

}  // namespace cxlvm::virtio::net
