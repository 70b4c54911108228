// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/stream_port.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "devices/virtio/net/buffer_window.hpp"
#include "devices/virtio/net/spec.hpp"
#include "devices/virtio/segments.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

constexpr std::size_t kMaxSegments = 1024;  // what sendmsg(2) takes
/// Frames too short to be any that are skipped in one call: a peer may send them faster than they
/// are read.
constexpr unsigned kMaxRunts = 64;

std::size_t decode(std::span<const std::byte, 4> bytes) noexcept {
    std::size_t value = 0;
    for (const std::byte byte : bytes) {
        value = value << 8U | std::to_integer<std::size_t>(byte);
    }
    return value;
}

void encode(std::size_t value, std::span<std::byte, 4> bytes) noexcept {
    for (std::size_t i = bytes.size(); i-- != 0; value >>= 8U) {
        bytes[i] = static_cast<std::byte>(value);
    }
}

/// Cuts off what lies behind the first `size` bytes.
void limit(std::span<iovec>& segments, std::size_t size) noexcept {
    std::size_t count = 0;
    for (; count < segments.size() && size != 0; ++count) {
        segments[count].iov_len = std::min(segments[count].iov_len, size);
        size -= segments[count].iov_len;
    }
    segments = segments.first(count);
}

}  // namespace

StreamPort::StreamPort(io::Fd socket)
    : socket_(std::move(socket)),
      segments_(kMaxSegments),
      rest_(std::make_unique_for_overwrite<std::byte[]>(sizeof(Length) + kMaxLength)) {}

// --- Receiving ---

std::int64_t StreamPort::read(std::span<iovec> segments) noexcept {
    msghdr message{};
    message.msg_iov = segments.data();
    message.msg_iovlen = segments.size();
    const ssize_t count =
        io::retry_eintr([&] { return ::recvmsg(socket_.get(), &message, MSG_DONTWAIT); });
    return count < 0 ? -errno : count;
}

std::int64_t StreamPort::read_length() noexcept {
    while (unwanted_ != 0) {
        std::array<std::byte, 4096> nowhere;
        iovec segment{.iov_base = nowhere.data(), .iov_len = std::min(unwanted_, nowhere.size())};
        const std::int64_t count = read(std::span(&segment, 1));
        if (count <= 0) {
            return count == 0 ? -ECONNRESET : count;
        }
        unwanted_ -= static_cast<std::size_t>(count);
    }
    while (length_bytes_ != length_.size()) {
        iovec segment{.iov_base = length_.data() + length_bytes_,
                      .iov_len = length_.size() - length_bytes_};
        const std::int64_t count = read(std::span(&segment, 1));
        if (count <= 0) {
            return count == 0 && length_bytes_ != 0 ? -ECONNRESET : count;
        }
        length_bytes_ += static_cast<std::size_t>(count);
    }
    return 1;
}

std::int64_t StreamPort::receive(std::span<const iovec> room) noexcept {
    for (unsigned runts = 0; runts < kMaxRunts; ++runts) {
        if (const std::int64_t result = read_length(); result <= 0) {
            return result;
        }
        const std::size_t length = decode(length_);
        if (length > kMaxLength) {
            return -EPROTO;
        }
        if (length >= kEthernetHeader) {
            return read_frame(room);
        }
        unwanted_ = length;
        length_bytes_ = 0;
    }
    return -EAGAIN;
}

std::int64_t StreamPort::read_frame(std::span<const iovec> room) noexcept {
    const std::size_t length = decode(length_);
    const std::size_t count = std::min(room.size(), segments_.size() - 1);
    std::copy_n(room.begin(), count, segments_.begin());
    std::span<iovec> segments = std::span(segments_).first(count);
    if (received_ == 0) {
        constexpr Header kNoOffloads{};
        static_cast<void>(fill_front(segments, std::as_bytes(std::span(&kNoOffloads, 1))));
    } else {
        drop_front(segments, sizeof(Header) + received_);
    }
    limit(segments, length - received_);
    // The next frame's length is a segment more.
    Length next{};
    segments.data()[segments.size()] = {.iov_base = next.data(), .iov_len = next.size()};
    const std::int64_t result = read(std::span(segments.data(), segments.size() + 1));
    if (result <= 0) {
        return result == 0 ? -ECONNRESET : result;
    }
    received_ += static_cast<std::size_t>(result);
    if (received_ < length) {
        return -EAGAIN;
    }
    length_ = next;
    length_bytes_ = received_ - length;
    received_ = 0;
    return static_cast<std::int64_t>(sizeof(Header) + length);
}

void StreamPort::abandon_receive() noexcept {
    unwanted_ = decode(length_) - received_;
    length_bytes_ = 0;
    received_ = 0;
}

// --- Sending ---

/// Sends what is behind the first `sent` bytes. 0: all of it.
int StreamPort::write(std::span<iovec> segments, std::size_t bytes, std::size_t& sent) noexcept {
    drop_front(segments, sent);
    msghdr message{};
    message.msg_iov = segments.data();
    message.msg_iovlen = segments.size();
    const ssize_t count = io::retry_eintr(
        [&] { return ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL); });
    if (count < 0) {
        return errno == ENOBUFS || errno == ENOMEM ? EAGAIN : errno;
    }
    sent += static_cast<std::size_t>(count);
    return sent == bytes ? 0 : EAGAIN;
}

std::span<iovec> StreamPort::with_length(std::span<const iovec> frame) noexcept {
    const std::size_t count = std::min(frame.size(), segments_.size() - 1);
    std::copy_n(frame.begin(), count, segments_.begin() + 1);
    std::span<iovec> segments = std::span(segments_).subspan(1, count);
    drop_front(segments, sizeof(Header));
    // In front of what is left: at the place of a segment that is used up, or of the spare one.
    iovec* const front = segments.data() - 1;
    *front = {.iov_base = length_to_send_.data(), .iov_len = length_to_send_.size()};
    return {front, segments.size() + 1};
}

int StreamPort::send(std::span<const iovec> frame) noexcept {
    if (rest_begin_ != rest_end_) {
        iovec segment{.iov_base = rest_.get(), .iov_len = rest_end_};
        if (const int error = write(std::span(&segment, 1), rest_end_, rest_begin_); error != 0) {
            return error;
        }
    }
    const std::size_t length = total_bytes(frame) - sizeof(Header);
    if (length > kMaxLength) {
        return 0;
    }
    if (sent_ == 0) {
        encode(length, length_to_send_);
    }
    const int error = write(with_length(frame), sizeof(Length) + length, sent_);
    if (error == 0) {
        sent_ = 0;
    }
    return error;
}

void StreamPort::abandon_send(std::span<const iovec> frame) noexcept {
    if (sent_ == 0) {
        return;
    }
    const std::size_t bytes = total_bytes(frame) - sizeof(Header) + sizeof(Length);
    std::span<iovec> segments = with_length(frame);
    drop_front(segments, sent_);
    static_cast<void>(take_front(segments, std::span(rest_.get(), bytes - sent_)));
    rest_begin_ = 0;
    rest_end_ = bytes - sent_;
    sent_ = 0;
}

}  // namespace cxlvm::virtio::net
