// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost_queue.hpp"

#include <poll.h>
#include <sys/eventfd.h>

namespace cxlvm::virtio::net {

VhostQueue::VhostQueue(VhostDevice& device, VhostDevice::Ring ring, const Port& port,
                       io::EventLoop& loop, QueueOwner& owner)
    : device_(device),
      ring_(ring),
      port_(port),
      loop_(loop),
      owner_(owner),
      kick_("a queue's notifications for vhost"),
      call_("notifications of vhost"),
      error_("errors of vhost") {}

void VhostQueue::kick() const noexcept {
    if (const int fd = kick_fd_.load(); fd >= 0) {
        static_cast<void>(::eventfd_write(fd, 1));  // full: it is signalled as it is
    }
}

bool VhostQueue::open(const QueueSession& session) noexcept {
    session_ = session;
    open_ = true;
    const int host_kick = session.host->hand_over_kicks(session.number);
    kick_fd_.store(host_kick >= 0 ? host_kick : kick_.fd());
    listen(call_poll_, call_);
    listen(error_poll_, error_);
    return device_.set_ring(ring_, *session.ring, kick_fd_.load(), error_.fd()) == 0 &&
           connect_notifications();
}

bool VhostQueue::use(bool used) noexcept {
    if (!open_ || used_ == used) {
        return true;
    }
    if (device_.set_port(ring_, used ? port_.fd() : VhostDevice::kNone) != 0) {
        return false;
    }
    used_ = used;
    if (used) {
        kick();  // chains that came before were looked at in vain
    }
    return true;
}

bool VhostQueue::connect_notifications() noexcept {
    const int shared = session_.host->share_notifications(session_.number);
    return device_.set_call(ring_, shared >= 0 ? shared : call_.fd()) == 0;
}

bool VhostQueue::settle_notifications() noexcept {
    if (!open_) {
        return true;
    }
    const bool done = connect_notifications();
    session_.host->notify_queue(session_.number);
    return done;
}

void VhostQueue::close() noexcept {
    if (open_) {
        // The kernel refuses neither of a ring that is there.
        static_cast<void>(use(false));
        device_.release(ring_);
        kick_fd_.store(-1);
        session_.host->take_back_kicks(session_.number);
        open_ = false;
    }
    loop_.cancel(call_poll_);
    loop_.cancel(error_poll_);
}

void VhostQueue::listen(io::PollOp& poll, const io::EventFd& event) noexcept {
    event.drain();
    if (poll.idle()) {
        loop_.start(poll.set(event.fd(), POLLIN));
    }
}

void VhostQueue::on_call(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (!open_) {
        owner_.queue_quiet();
    } else if (result >= 0) {
        listen(call_poll_, call_);
        session_.host->notify_queue(session_.number);
    }
}

void VhostQueue::on_error(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (!open_) {
        owner_.queue_quiet();
    } else if (result >= 0) {
        session_.host->fail("the kernel can make no sense of a queue");
    }
}

}  // namespace cxlvm::virtio::net
