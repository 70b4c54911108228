// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/connection.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace cxlvm::virtio::vsock {

void Connection::greet(io::Fd client) noexcept {
    host_ = std::move(client);
    state_.phase = Phase::Greeting;
    owner_.want_ticks();
    read_greeting();
}

void Connection::accept(const PacketHeader& request, Ports ports, io::Fd host) noexcept {
    host_ = std::move(host);
    state_.phase = Phase::Established;
    state_.attached = true;
    state_.ports = ports;
    state_.credit.peer_says(request.buf_alloc, request.fwd_cnt);
    pend(kResponse);
    receive_next();
}

void Connection::read_greeting() noexcept {
    const std::span<char> room = state_.greeting.room();
    receive_segments_[0] = {room.data(), room.size()};
    loop_.start(receive_.receive(host_.get(), std::span(receive_segments_).first(1),
                                 io::SocketOp::Wait::Yes));
}

void Connection::take_greeting(std::int32_t result) noexcept {
    const auto answer = result == -EINTR ? Greeting::Result::More
                        : result <= 0    ? Greeting::Result::Bad
                                         : state_.greeting.take(static_cast<std::size_t>(result));
    switch (answer) {
        case Greeting::Result::More:
            read_greeting();
            return;
        case Greeting::Result::Bad:
            abort();
            return;
        case Greeting::Result::Good:
            break;
    }
    state_.phase = Phase::Requested;
    state_.ticks = 0;
    state_.ports = owner_.attach(*this, state_.greeting.port());
    state_.attached = true;
    pend(kRequest);
}

bool Connection::handle(const Packet& packet, std::uint16_t head) noexcept {
    const Op op = packet.op();
    if (op == Op::Reset) {
        // While one of ours is on its way, too: the guest has done with the connection.
        state_.phase == Phase::Resetting ? end_reset() : abort();
        return false;
    }
    state_.credit.peer_says(packet.header.buf_alloc, packet.header.fwd_cnt);
    if (state_.phase == Phase::Requested) {
        if (op != Op::Response || (state_.pending & kRequest) != 0) {
            reset(false);
        } else {
            state_.phase = Phase::Established;
            state_.answer_left = write_answer(state_.ports.host, state_.answer);
            send_more();
            receive_next();
        }
        return false;
    }
    return state_.phase == Phase::Established && handle_established(packet, head);
}

bool Connection::handle_established(const Packet& packet, std::uint16_t head) noexcept {
    if (state_.credit.room() != 0) {
        state_.credit_asked = false;
    }
    bool kept = false;
    switch (packet.op()) {
        case Op::Data:
            kept = take_data(packet, head);
            break;
        case Op::Shutdown:
            take_shutdown(packet.header.flags);
            break;
        case Op::CreditUpdate:
            break;
        case Op::CreditRequest:
            pend(kCreditUpdate);
            break;
        case Op::Request:
        case Op::Response:
        case Op::Invalid:
        case Op::Reset:
            reset(false);
            break;
    }
    receive_next();
    return kept;
}

// The end.

bool Connection::tick() noexcept {
    switch (state_.phase) {
        case Phase::Greeting:
        case Phase::Requested:
            if (++state_.ticks < kPatience) {
                return true;
            }
            state_.phase == Phase::Greeting ? abort() : reset(false);
            return false;
        case Phase::Established:
            if (state_.host_shutdown != kShutdownSend) {
                return false;
            }
            if (!hung_up()) {
                return true;
            }
            state_.host_shutdown |= kShutdownReceive;
            pend(kShutdown);
            return false;
        case Phase::Draining:
            if (++state_.ticks < kDrainPatience) {
                return true;
            }
            abort();
            return false;
        case Phase::Free:
        case Phase::Resetting:
        case Phase::Closing:
            break;
    }
    return false;
}

void Connection::reset(bool drain) noexcept {
    if ((state_.pending & kRequest) != 0) {
        abort();  // the guest has not heard of it, and may never give a buffer to tell it
        return;
    }
    state_.phase = Phase::Resetting;
    state_.drain = drain;
    state_.pending = 0;
    if (drain) {
        (void)::shutdown(host_.get(), SHUT_RD);
        send_more();
    } else {
        (void)::shutdown(host_.get(), SHUT_RDWR);
        cancel_all();
    }
    pend(kReset);
}

void Connection::end_reset() noexcept {
    if (state_.drain && !send_.idle()) {
        detach();
        state_.pending = 0;
        state_.phase = Phase::Draining;
        state_.ticks = 0;
        owner_.want_ticks();
    } else {
        abort();
    }
}

void Connection::detach() noexcept {
    if (std::exchange(state_.attached, false)) {
        owner_.detached(*this);
    }
}

void Connection::abort() noexcept {
    if (state_.phase == Phase::Free || state_.phase == Phase::Closing) {
        return;
    }
    detach();
    state_.pending = 0;
    state_.phase = Phase::Closing;
    (void)::shutdown(host_.get(), SHUT_RDWR);  // ends what waits for the peer
    cancel_all();
    settle();
}

void Connection::cancel_all() noexcept {
    loop_.cancel(receive_);
    loop_.cancel(send_);
    loop_.cancel(poll_);
}

void Connection::settle() noexcept {
    if (!receive_.idle() || !send_.idle() || !poll_.idle()) {
        return;
    }
    host_.reset();
    buffer_.release();
    state_ = State{};
    owner_.freed(*this);
}

}  // namespace cxlvm::virtio::vsock
