// SPDX-License-Identifier: Apache-2.0
// The half of a connection from the host to the guest, and the packets without data.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "devices/virtio/segments.hpp"
#include "devices/virtio/vsock/connection.hpp"

namespace cxlvm::virtio::vsock {

namespace {

using Wait = io::SocketOp::Wait;

/// Of a packet to the guest: what Linux takes at most.
constexpr std::uint32_t kMaxPayload = 64U << 10;

}  // namespace

bool Connection::may_receive() const noexcept {
    return state_.phase == Phase::Established && !state_.receiving &&
           (state_.host_shutdown & kShutdownSend) == 0 &&
           (state_.guest_shutdown & kShutdownReceive) == 0;
}

void Connection::receive_next() noexcept {
    if (!may_receive()) {
        return;
    }
    if (!state_.readable) {
        if (poll_.idle()) {
            loop_.start(poll_.set(host_.get(), POLLIN));
        }
    } else if (state_.credit.room() != 0) {
        owner_.want_turn(*this);
    } else if (!state_.credit_asked) {
        state_.credit_asked = true;
        pend(kCreditRequest);
    }
}

void Connection::on_readable(std::int32_t /*result*/, std::uint32_t /*flags*/,
                             bool /*more*/) noexcept {
    if (state_.phase == Phase::Closing) {
        settle();
    } else if (!poll_.cancel_requested()) {
        state_.readable = true;
        receive_next();
    }
}

bool Connection::wants_turn() const noexcept {
    return state_.pending != 0 || (state_.readable && may_receive() && state_.credit.room() != 0);
}

bool Connection::take_turn(const Chain& chain) noexcept {
    if (state_.pending != 0) {
        const PacketHeader header = next_packet();
        std::span<iovec> room = chain.writable;
        (void)fill_front(room, std::as_bytes(std::span(&header, 1)));
        return false;
    }
    const std::uint32_t size = std::min(state_.credit.room(), kMaxPayload);
    const auto segments = slice(chain.writable, kHeaderSize, size, receive_segments_);
    state_.receiving = true;
    state_.chain = chain;
    state_.wanted = static_cast<std::uint32_t>(total_bytes(segments));
    loop_.start(receive_.receive(host_.get(), segments, Wait::No));
    return true;
}

void Connection::on_received(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (std::exchange(state_.receiving, false)) {
        owner_.give_back_received(state_.chain, finish_packet(result));
    }
    if (state_.phase == Phase::Closing) {
        settle();
    } else if (receive_.cancel_requested()) {
        return;
    } else if (state_.phase == Phase::Greeting) {
        take_greeting(result);
    } else if (state_.phase == Phase::Established) {
        take_received(result);
    }
}

std::uint32_t Connection::finish_packet(std::int32_t result) noexcept {
    if (result <= 0 || state_.phase != Phase::Established ||
        (state_.guest_shutdown & kShutdownReceive) != 0) {
        return 0;
    }
    const auto size = static_cast<std::uint32_t>(result);
    state_.credit.send(size);
    PacketHeader header = make_packet(Op::Data);
    header.len = size;
    std::span<iovec> room = state_.chain.writable;
    (void)fill_front(room, std::as_bytes(std::span(&header, 1)));
    return kHeaderSize + size;
}

void Connection::take_received(std::int32_t result) noexcept {
    if (result == 0) {
        take_end();
        return;
    }
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        reset(false);
        return;
    }
    // Less than there was room for: there was no more.
    state_.readable = result > 0 && static_cast<std::uint32_t>(result) == state_.wanted;
    receive_next();
}

/// The host has ended its half of the stream, or all of it.
void Connection::take_end() noexcept {
    state_.host_shutdown |= kShutdownSend;
    if (hung_up()) {
        state_.host_shutdown |= kShutdownReceive;
    } else {
        owner_.want_ticks();
    }
    pend(kShutdown);
}

/// Asked of the socket itself: io_uring's poll ends for a half that was ended long ago, too.
bool Connection::hung_up() const noexcept {
    pollfd host{.fd = host_.get(), .events = 0, .revents = 0};
    return ::poll(&host, 1, 0) > 0 && (host.revents & POLLHUP) != 0;
}

void Connection::pend(unsigned packet) noexcept {
    state_.pending |= packet;
    owner_.want_turn(*this);
}

PacketHeader Connection::make_packet(Op op) noexcept {
    PacketHeader header = make_header(op, state_.ports, guest_cid_);
    state_.credit.stamp(header);
    return header;
}

PacketHeader Connection::next_packet() noexcept {
    const unsigned packet = state_.pending & (~state_.pending + 1);  // the lowest bit
    state_.pending &= ~packet;
    switch (packet) {
        case kRequest:
            return make_packet(Op::Request);
        case kResponse:
            return make_packet(Op::Response);
        case kShutdown: {
            PacketHeader header = make_packet(Op::Shutdown);
            header.flags = state_.host_shutdown;
            return header;
        }
        case kCreditUpdate:
            return make_packet(Op::CreditUpdate);
        case kCreditRequest:
            return make_packet(Op::CreditRequest);
        default:
            break;
    }
    const PacketHeader header = make_packet(Op::Reset);
    end_reset();
    return header;
}

}  // namespace cxlvm::virtio::vsock
