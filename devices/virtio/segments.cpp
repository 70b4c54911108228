// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/segments.hpp"

#include <algorithm>
#include <cstring>

namespace cxlvm::virtio {

namespace {

/// Calls `visit(host, count, done)` for pieces of the first `size` bytes, of which there are
/// enough, and cuts them off.
template <typename Visit>
void walk_front(std::span<iovec>& segments, std::size_t size, Visit&& visit) noexcept {
    std::size_t done = 0;
    while (done < size) {
        iovec& front = segments.front();
        const std::size_t count = std::min(front.iov_len, size - done);
        visit(front.iov_base, count, done);
        done += count;
        front.iov_base = static_cast<std::byte*>(front.iov_base) + count;
        front.iov_len -= count;
        if (front.iov_len == 0) {
            segments = segments.subspan(1);
        }
    }
}

}  // namespace

std::uint64_t total_bytes(std::span<const iovec> segments) noexcept {
    std::uint64_t bytes = 0;  // a chain has at most 4 GiB
    for (const iovec& segment : segments) {
        bytes += segment.iov_len;
    }
    return bytes;
}

bool take_front(std::span<iovec>& segments, std::span<std::byte> out) noexcept {
    if (total_bytes(segments) < out.size()) {
        return false;
    }
    walk_front(segments, out.size(),
               [out](const void* host, std::size_t count, std::size_t done) noexcept {
                   std::memcpy(out.data() + done, host, count);
               });
    return true;
}

bool fill_front(std::span<iovec>& segments, std::span<const std::byte> data) noexcept {
    if (total_bytes(segments) < data.size()) {
        return false;
    }
    walk_front(segments, data.size(),
               [data](void* host, std::size_t count, std::size_t done) noexcept {
                   std::memcpy(host, data.data() + done, count);
               });
    return true;
}

void drop_front(std::span<iovec>& segments, std::uint64_t size) noexcept {
    walk_front(segments, std::min(size, total_bytes(segments)),
               [](void* /*host*/, std::size_t /*count*/, std::size_t /*done*/) noexcept {});
}

void keep_front(std::span<iovec>& segments, std::uint64_t size) noexcept {
    std::size_t count = 0;
    for (; count < segments.size() && size != 0; ++count) {
        iovec& segment = segments[count];
        segment.iov_len = std::min<std::uint64_t>(segment.iov_len, size);
        size -= segment.iov_len;
    }
    segments = segments.first(count);
}

std::span<iovec> slice(std::span<const iovec> segments, std::uint64_t offset, std::uint64_t size,
                       std::span<iovec> out) noexcept {
    std::size_t used = 0;
    for (const iovec& segment : segments) {
        if (offset >= segment.iov_len) {
            offset -= segment.iov_len;
            continue;
        }
        if (size == 0 || used == out.size()) {
            break;
        }
        const std::size_t count = std::min<std::uint64_t>(segment.iov_len - offset, size);
        out[used++] = {static_cast<std::byte*>(segment.iov_base) + offset, count};
        size -= count;
        offset = 0;
    }
    return out.first(used);
}

std::byte* take_last(std::span<iovec>& segments) noexcept {
    while (!segments.empty() && segments.back().iov_len == 0) {
        segments = segments.first(segments.size() - 1);
    }
    if (segments.empty()) {
        return nullptr;
    }
    iovec& back = segments.back();
    back.iov_len -= 1;
    std::byte* const last = static_cast<std::byte*>(back.iov_base) + back.iov_len;
    if (back.iov_len == 0) {
        segments = segments.first(segments.size() - 1);
    }
    return last;
}

}  // namespace cxlvm::virtio
