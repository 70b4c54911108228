// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/buffer_window.hpp"

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

/// Moves what is in use to the front.
template <typename T>
void compact(std::vector<T>& items, std::size_t& first, std::size_t& end) noexcept {
    std::copy(items.begin() + static_cast<std::ptrdiff_t>(first),
              items.begin() + static_cast<std::ptrdiff_t>(end), items.begin());
    end -= first;
    first = 0;
}

}  // namespace

BufferWindow::BufferWindow() : buffers_(2 * kMaxBuffers), segments_(2 * kMaxSegments + 1) {}

void BufferWindow::push(const Chain& chain) noexcept {
    io::check(takes_more() && chain.writable.size() <= kMaxChainSegments,
              "a window has no room for a receive buffer");
    if (end_buffer_ == buffers_.size()) {
        compact(buffers_, first_buffer_, end_buffer_);
    }
    if (end_segment_ + chain.writable.size() + 1 > segments_.size()) {
        compact(segments_, first_segment_, end_segment_);
    }
    buffers_[end_buffer_++] = {.head = chain.head,
                               .segments = static_cast<std::uint16_t>(chain.writable.size()),
                               .bytes = chain.writable_bytes};
    std::ranges::copy(chain.writable,
                      segments_.begin() + static_cast<std::ptrdiff_t>(end_segment_));
    end_segment_ += chain.writable.size();
    bytes_ += chain.writable_bytes;
}

void BufferWindow::pop_front() noexcept {
    const Buffer& front = at(0);
    bytes_ -= front.bytes;
    first_segment_ += front.segments;
    ++first_buffer_;
    if (empty()) {
        clear();
    }
}

void BufferWindow::clear() noexcept {
    first_buffer_ = 0;
    end_buffer_ = 0;
    first_segment_ = 0;
    end_segment_ = 0;
    bytes_ = 0;
}

std::span<iovec> BufferWindow::segments_with(std::span<std::byte> tail) noexcept {
    segments_[end_segment_] = {.iov_base = tail.data(), .iov_len = tail.size()};
    return std::span(segments_).subspan(first_segment_, segments() + 1);
}

}  // namespace cxlvm::virtio::net
