// SPDX-License-Identifier: Apache-2.0
// The half of a connection from the guest to the host.
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "devices/virtio/segments.hpp"
#include "devices/virtio/vsock/connection.hpp"

namespace cxlvm::virtio::vsock {

namespace {

using Wait = io::SocketOp::Wait;

}  // namespace

bool Connection::take_data(const Packet& packet, std::uint16_t head) noexcept {
    const std::uint32_t size = packet.header.len;
    if ((state_.guest_shutdown & kShutdownSend) != 0 || !state_.credit.take(size)) {
        reset(false);
        return false;
    }
    if (size == 0) {
        return false;
    }
    if ((state_.host_shutdown & kShutdownReceive) != 0) {
        forwarded(size);
        return false;
    }
    if (!send_.idle() || !buffer_.empty()) {
        buffer_.append(packet.payload);
        send_more();
        return false;
    }
    state_.sending = Sending::Chain;
    state_.sent_head = head;
    state_.sent_payload = packet.payload;
    loop_.start(send_.send(host_.get(), packet.payload, Wait::No));
    return true;
}

void Connection::on_sent(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    const std::size_t size = result > 0 ? static_cast<std::size_t>(result) : 0;
    switch (std::exchange(state_.sending, Sending::Nothing)) {
        case Sending::Nothing:
            break;
        case Sending::Answer:
            state_.answer_left = state_.answer_left.subspan(size);
            break;
        case Sending::Chain: {
            // In front of what has come since.
            drop_front(state_.sent_payload, size);
            buffer_.prepend(state_.sent_payload);
            forwarded(size);
            owner_.give_back_sent(state_.sent_head);
            break;
        }
        case Sending::Buffer:
            buffer_.drop(size);
            forwarded(size);
            state_.ticks = 0;  // of a reader that drains it
            break;
    }
    if (state_.phase == Phase::Closing) {
        settle();
    } else if (send_.cancel_requested()) {
        return;
    } else if (result < 0 && result != -EAGAIN && result != -EINTR) {
        lose_reader();
    } else {
        send_more();
    }
}

void Connection::send_more() noexcept {
    if (!send_.idle()) {
        return;
    }
    if (!state_.answer_left.empty()) {
        state_.sending = Sending::Answer;
        send_segments_[0] = {state_.answer_left.data(), state_.answer_left.size()};
        loop_.start(send_.send(host_.get(), std::span(send_segments_).first(1), Wait::Yes));
        return;
    }
    if (!buffer_.empty()) {
        state_.sending = Sending::Buffer;
        loop_.start(send_.send(host_.get(), buffer_.bytes(send_segments_), Wait::Yes));
        return;
    }
    if ((state_.guest_shutdown & kShutdownSend) != 0 && !state_.write_ended) {
        state_.write_ended = true;
        (void)::shutdown(host_.get(), SHUT_WR);
    }
    if (state_.phase == Phase::Draining) {
        abort();
    }
}

void Connection::forwarded(std::size_t size) noexcept {
    state_.credit.forward(static_cast<std::uint32_t>(size));
    if (state_.phase == Phase::Established && state_.credit.update_due()) {
        pend(kCreditUpdate);
    }
}

/// The host takes nothing any longer, but what it has said before is still to be read.
void Connection::lose_reader() noexcept {
    const std::size_t lost = buffer_.size();
    buffer_.drop(lost);
    state_.answer_left = {};
    state_.host_shutdown |= kShutdownReceive;
    forwarded(lost);
    if (state_.phase == Phase::Draining) {
        abort();
    } else if (state_.phase == Phase::Established) {
        pend(kShutdown);
    }
}

void Connection::take_shutdown(std::uint32_t flags) noexcept {
    state_.guest_shutdown |= flags & kShutdownBoth;
    if (state_.guest_shutdown == kShutdownBoth) {
        reset(true);
        return;
    }
    if ((state_.guest_shutdown & kShutdownReceive) != 0) {
        (void)::shutdown(host_.get(), SHUT_RD);
    }
    send_more();
}

}  // namespace cxlvm::virtio::vsock
