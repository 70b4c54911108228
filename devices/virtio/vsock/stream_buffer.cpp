// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/stream_buffer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "devices/virtio/segments.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::vsock {

void StreamBuffer::copy_in(std::size_t position, const iovec& segment) noexcept {
    const auto* const from = static_cast<const std::byte*>(segment.iov_base);
    const std::size_t first = std::min(segment.iov_len, memory_.size() - position);
    std::memcpy(memory_.data() + position, from, first);
    std::memcpy(memory_.data(), from + first, segment.iov_len - first);
}

void StreamBuffer::append(std::span<const iovec> segments) noexcept {
    io::check(total_bytes(segments) <= memory_.size() - size_, "a vsock buffer overflows");
    touched_ = true;
    for (const iovec& segment : segments) {
        copy_in(wrap(start_ + size_), segment);
        size_ += segment.iov_len;
    }
}

void StreamBuffer::prepend(std::span<const iovec> segments) noexcept {
    const std::size_t count = total_bytes(segments);
    io::check(count <= memory_.size() - size_, "a vsock buffer overflows");
    touched_ = true;
    if (size_ != 0) {
        start_ = wrap(start_ + memory_.size() - count);
    }
    size_ += count;
    std::size_t position = start_;
    for (const iovec& segment : segments) {
        copy_in(position, segment);
        position = wrap(position + segment.iov_len);
    }
}

std::span<iovec> StreamBuffer::bytes(std::span<iovec, 2> out) const noexcept {
    const std::size_t first = std::min(size_, memory_.size() - start_);
    out[0] = {memory_.data() + start_, first};
    out[1] = {memory_.data(), size_ - first};
    const std::size_t used = size_ == 0 ? 0 : size_ == first ? 1 : 2;
    return out.first(used);
}

void StreamBuffer::drop(std::size_t count) noexcept {
    size_ -= count;
    start_ = size_ == 0 ? 0 : wrap(start_ + count);
}

void StreamBuffer::release() noexcept {
    start_ = 0;
    size_ = 0;
    if (touched_) {
        touched_ = false;
        // Whatever it says: the pages are only held longer when it fails.
        (void)::madvise(memory_.data(), memory_.size(), MADV_DONTNEED);
    }
}

}  // namespace cxlvm::virtio::vsock
