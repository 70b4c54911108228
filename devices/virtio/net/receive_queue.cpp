// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/receive_queue.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <optional>

#include "devices/virtio/net/spec.hpp"
#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::net {

namespace {

/// Frames of one round of the loop.
constexpr unsigned kBudget = 64;

}  // namespace

ReceiveQueue::ReceiveQueue(Port& port, std::size_t longest_frame, io::EventLoop& loop,
                           QueueOwner& owner)
    : NetQueue(loop, owner),
      longest_frame_(longest_frame),
      port_(port),
      overflow_(std::make_unique_for_overwrite<std::byte[]>(Port::kMinRoom)) {}

void ReceiveQueue::on_open() noexcept {
    const std::uint64_t features = session().features;
    mergeable_ = (features & kFeatureMergeable) != 0;
    // Without merging each frame has one buffer, however long it is (5.1.6.3.1).
    wanted_ = !mergeable_                            ? 1
              : (features & kGuestSegmentation) != 0 ? Port::kMinRoom
                                                     : sizeof(Header) + longest_frame_;
    used_ = false;
}

void ReceiveQueue::on_close() noexcept {
    if (port_.receiving()) {
        port_.abandon_receive();
    }
    window_.clear();
    frame_ = 0;
}

void ReceiveQueue::use(bool used) noexcept {
    used_ = used;
    if (used) {
        wake();
    }
}

void ReceiveQueue::serve() noexcept {
    if (!used_ || !owner().link_up()) {
        return;
    }
    ring().disable_kicks();
    unsigned budget = kBudget;
    while ((frame_ != 0 || receive()) && deliver()) {
        if (--budget == 0) {
            wake();
            break;
        }
    }
    announce();
}

bool ReceiveQueue::add(const std::optional<Chain>& chain) noexcept {
    if (!chain) {
        return false;
    }
    if (chain->writable_bytes < sizeof(Header)) {
        fail("a receive buffer is shorter than a header");
        return false;
    }
    window_.push(*chain);
    return true;
}

void ReceiveQueue::take_buffers() noexcept {
    if (window_.empty() && !add(next_chain())) {
        return;
    }
    while (window_.bytes() < wanted_ && window_.takes_more() && add(next_chain_if_any())) {
    }
}

bool ReceiveQueue::receive() noexcept {
    if (!port_.receiving()) {
        take_buffers();
        if (window_.empty() || failed()) {
            return false;
        }
    }
    const std::int64_t result = port_.receive(window_.segments_with(overflow()));
    if (result == -EAGAIN) {
        wait_for(port_.fd(), POLLIN);
        return false;
    }
    if (result <= 0) {
        owner().port_ended(static_cast<int>(-result));
        return false;
    }
    frame_ = static_cast<std::uint64_t>(result);
    in_place_ = std::min(window_.bytes(), frame_);
    return true;
}

bool ReceiveQueue::deliver() noexcept {
    while (window_.bytes() < frame_) {
        // 5.1.6.4.1: it does not fit. Neither will it when the driver has no more to give.
        if (!mergeable_ || !window_.takes_more() || ring().in_flight() == ring().size()) {
            frame_ = 0;
            return true;
        }
        if (!add(next_chain())) {
            return false;
        }
    }
    hand_over();
    return true;
}

void ReceiveQueue::hand_over() noexcept {
    std::uint16_t count = 0;
    for (std::uint64_t bytes = 0; bytes < frame_; ++count) {
        bytes += window_.at(count).bytes;
    }
    write_num_buffers(count);
    if (in_place_ < frame_) {
        std::span<iovec> rest = window_.segments_with({});
        drop_front(rest, in_place_);
        // There is room: the buffers have been counted.
        static_cast<void>(fill_front(rest, overflow().first(frame_ - in_place_)));
    }
    for (; count != 0; --count) {
        const BufferWindow::Buffer& buffer = window_.at(0);
        const std::uint64_t written = std::min(buffer.bytes, frame_);
        ring().put(buffer.head, static_cast<std::uint32_t>(written));
        frame_ -= written;
        window_.pop_front();
    }
}

// The number also stands there when nothing is merged (5.1.6.4.1).
void ReceiveQueue::write_num_buffers(std::uint16_t count) noexcept {
    const std::span<iovec> segments = window_.segments_with({});
    // No segment is empty, and the first buffer has room for a header.
    std::array<iovec, sizeof(Header)> front{};
    std::size_t length = 0;
    for (std::size_t bytes = 0; bytes < sizeof(Header); ++length) {
        front[length] = segments[length];
        bytes += front[length].iov_len;
    }
    std::span<iovec> header = std::span(front).first(length);
    drop_front(header, offsetof(Header, num_buffers));
    static_cast<void>(fill_front(header, std::as_bytes(std::span(&count, 1))));
}

}  // namespace cxlvm::virtio::net
