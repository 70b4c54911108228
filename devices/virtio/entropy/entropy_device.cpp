// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/entropy/entropy_device.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace cxlvm::virtio::entropy {

namespace {

/// Shortens the writable part to what one request is given.
void bound(Chain& chain) noexcept {
    std::size_t left = EntropyDevice::kMaxBytes;
    std::size_t count = 0;
    for (; count < chain.writable.size() && left != 0; ++count) {
        iovec& segment = chain.writable[count];
        segment.iov_len = std::min(segment.iov_len, left);
        left -= segment.iov_len;
    }
    chain.writable = chain.writable.first(count);
}

std::uint32_t fill_from_kernel(const Chain& chain) noexcept {
    std::size_t filled = 0;
    for (const iovec& segment : chain.writable) {
        const std::size_t count =
            fill_random({static_cast<std::byte*>(segment.iov_base), segment.iov_len});
        filled += count;
        if (count != segment.iov_len) {
            break;
        }
    }
    return static_cast<std::uint32_t>(filled);
}

}  // namespace

EntropyDevice::EntropyDevice(const EntropyConfig& config, io::EventLoop& loop, io::Log& log)
    : source_(config.source),
      loop_(loop),
      log_(log),
      requests_(kRequestQueue, kRound, loop, *this) {}

EntropyDevice::~EntropyDevice() {
    loop_.withdraw(reset_task_);
}

bool EntropyDevice::activate(const Activation& activation) noexcept {
    SplitQueue& ring = activation.queues[kRequestQueue];
    if (ring.running()) {
        requests_.open(*host_, ring);
    }
    return true;
}

void EntropyDevice::queue_notified(std::uint16_t queue) noexcept {
    if (queue == kRequestQueue) {
        requests_.wake();
    }
}

Turn EntropyDevice::serve(std::uint16_t /*queue*/, Chain& chain, std::uint32_t& written) noexcept {
    if (!read_.idle()) {
        return Turn::Wait;
    }
    bound(chain);
    if (chain.writable.empty()) {
        return Turn::Done;  // 5.4.6.1: the driver's mistake, and there is nothing to fill
    }
    if (read_bytes_ != 0) {
        written = std::exchange(read_bytes_, 0);
        return Turn::Done;
    }
    if (source_.fd() >= 0 && !source_failed_) {
        loop_.start(read_.read(source_.fd(), chain.writable, io::kCurrentPosition));
        return Turn::Wait;
    }
    written = fill_from_kernel(chain);
    return Turn::Done;
}

void EntropyDevice::on_read(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (resetting_) {
        end_reset();
        return;
    }
    if (result > 0) {
        read_bytes_ = static_cast<std::uint32_t>(result);
    } else if (result == -ECANCELED) {
        return;  // the loop stops
    } else if (result != -EINTR) {
        source_failed_ = true;
        log_.warn(
            "entropy device: the source cannot be read: {}; the host's kernel takes its place",
            result == 0 ? "it has ended" : std::strerror(-result));
    }
    // Served from the next round on: a source that is fast must not keep the loop to itself.
    requests_.wake();
}

void EntropyDevice::reset() noexcept {
    loop_.post(reset_task_);
}

void EntropyDevice::on_reset() noexcept {
    requests_.close();
    resetting_ = true;
    if (read_.idle()) {
        end_reset();
    } else {
        loop_.cancel(read_);
    }
}

void EntropyDevice::end_reset() noexcept {
    resetting_ = false;
    read_bytes_ = 0;
    host_->reset_done();
}

}  // namespace cxlvm::virtio::entropy
