// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::vsock {

namespace {

using Wait = io::SocketOp::Wait;

/// Of a packet to the guest: what Linux takes at most.
constexpr std::uint32_t kMaxPayload = 64U << 10;

}  // namespace

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
    loop_.start(receive_.receive(host_.get(), std::span(receive_segments_).first(1), Wait::Yes));
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

// From the guest to the host.

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

// From the host to the guest.

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
        case Phase::Free:
        case Phase::Resetting:
        case Phase::Draining:
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
