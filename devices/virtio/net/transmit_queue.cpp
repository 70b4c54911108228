// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/transmit_queue.hpp"

#include <poll.h>

#include <cerrno>

#include "devices/virtio/net/spec.hpp"

namespace cxlvm::virtio::net {

namespace {

/// Frames of one round of the loop.
constexpr unsigned kBudget = 64;

[[nodiscard]] bool is_frame(const Chain& chain) noexcept {
    return chain.readable_bytes >= sizeof(Header) + kEthernetHeader &&
           chain.readable_bytes <= sizeof(Header) + kMaxFrame;
}

}  // namespace

void TransmitQueue::on_close() noexcept {
    if (frame_) {
        port_.abandon_send(frame_->readable);
        frame_.reset();
    }
}

void TransmitQueue::serve() noexcept {
    ring().disable_kicks();
    unsigned budget = kBudget;
    while (send_next()) {
        if (--budget == 0) {
            wake();
            break;
        }
    }
    announce();
}

bool TransmitQueue::send_next() noexcept {
    if (!frame_) {
        frame_ = next_chain();
        if (!frame_) {
            return false;
        }
    }
    if (used_ && owner().link_up() && is_frame(*frame_)) {
        const int error = port_.send(frame_->readable);
        if (error == EAGAIN) {
            wait_for(port_.fd(), POLLOUT);
            return false;
        }
        if (error != 0) {
            owner().port_ended(error);
        }
    } else {
        port_.abandon_send(frame_->readable);  // the link may have gone down in the middle of it
    }
    ring().put(frame_->head, 0);
    frame_.reset();
    return true;
}

}  // namespace cxlvm::virtio::net
