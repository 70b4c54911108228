// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/request_runner.hpp"

#include <linux/falloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "devices/virtio/segments.hpp"
#include "io/bits.hpp"

namespace cxlvm::virtio::block {

namespace {

constexpr std::size_t kZeroBytes = std::size_t{64} << 10;

}  // namespace

Zeros::Zeros()
    : mapping_({.size = kZeroBytes, .protection = PROT_READ, .flags = MAP_PRIVATE | MAP_ANONYMOUS},
               "zeros for disks") {}

RequestRunner::RequestRunner(io::EventLoop& loop, const DiskFile& disk, const Zeros& zeros,
                             Owner& owner) noexcept
    : loop_(loop), disk_(disk), zeros_(zeros), owner_(owner) {}

std::optional<RequestStatus> RequestRunner::start(bool write_through) noexcept {
    write_through_ = write_through;
    syncing_ = false;
    writes_zeros_ = false;
    range_ = 0;
    range_done_ = 0;
    return advance();
}

std::optional<RequestStatus> RequestRunner::advance() noexcept {
    switch (request_.type) {
        case RequestType::In:
        case RequestType::Out:
            if (!request_.data.empty()) {
                start_transfer();
                return std::nullopt;
            }
            return request_.type == RequestType::In ? RequestStatus::Ok : sync_or_end();
        case RequestType::Flush:
            write_through_ = true;
            return sync_or_end();
        case RequestType::Discard:
        case RequestType::WriteZeroes:
            if (range_ < request_.range_count) {
                start_range();
                return std::nullopt;
            }
            return sync_or_end();
        case RequestType::GetId:
        case RequestType::GetLifetime:
        case RequestType::SecureErase:
            break;
    }
    return RequestStatus::Unsupported;
}

std::optional<RequestStatus> RequestRunner::sync_or_end() noexcept {
    if (!write_through_ || syncing_) {
        return RequestStatus::Ok;
    }
    syncing_ = true;
    loop_.start(operation_.sync(disk_.fd()));
    return std::nullopt;
}

int RequestRunner::descriptor(std::span<const iovec> segments,
                              std::uint64_t offset) const noexcept {
    std::uint64_t bits = offset;
    for (const iovec& segment : segments) {
        bits |= reinterpret_cast<std::uintptr_t>(segment.iov_base) | segment.iov_len;
    }
    return io::is_aligned(bits, disk_.alignment()) ? disk_.fd() : disk_.buffered_fd();
}

void RequestRunner::start_transfer() noexcept {
    const int fd = descriptor(request_.data, request_.offset);
    loop_.start(request_.type == RequestType::In
                    ? operation_.read(fd, request_.data, request_.offset)
                    : operation_.write(fd, request_.data, request_.offset));
}

void RequestRunner::start_range() noexcept {
    const ByteRange& range = request_.range_storage[range_];
    if (writes_zeros_) {
        start_zeros(range);
        return;
    }
    // A hole reads as zeros, which a guest that asks for zeros gets only when it does not need the
    // blocks to be there (5.2.6: the unmap bit).
    const bool hole = request_.type == RequestType::Discard || range.unmap;
    const int mode = (hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
    loop_.start(operation_.allocate(disk_.fd(), mode, range.offset, range.size));
}

void RequestRunner::start_zeros(const ByteRange& range) noexcept {
    const std::span<std::byte> zeros = zeros_.bytes();
    std::uint64_t left = range.size - range_done_;
    std::size_t count = 0;
    for (; count < zero_segments_.size() && left != 0; ++count) {
        const std::size_t size = std::min<std::uint64_t>(left, zeros.size());
        zero_segments_[count] = {zeros.data(), size};
        left -= size;
    }
    const auto segments = std::span(zero_segments_).first(count);
    const std::uint64_t offset = range.offset + range_done_;
    loop_.start(operation_.write(descriptor(segments, offset), segments, offset));
}

bool RequestRunner::take(std::int32_t result) noexcept {
    if (operation_.cancel_requested()) {
        return false;
    }
    if (result == -EINTR) {
        syncing_ = false;  // whatever it was is started again
        return true;
    }
    if (syncing_) {
        return result == 0;
    }
    if (request_.type == RequestType::Discard || request_.type == RequestType::WriteZeroes) {
        return take_range(result);
    }
    if (result <= 0) {
        return false;  // 0: the file has become shorter than the disk
    }
    drop_front(request_.data, static_cast<std::uint64_t>(result));
    request_.offset += static_cast<std::uint64_t>(result);
    return true;
}

bool RequestRunner::take_range(std::int32_t result) noexcept {
    if (writes_zeros_) {
        if (result <= 0) {
            return false;
        }
        range_done_ += static_cast<std::uint64_t>(result);
        if (range_done_ < request_.range_storage[range_].size) {
            return true;
        }
    } else if (result == -EOPNOTSUPP && request_.type == RequestType::WriteZeroes) {
        writes_zeros_ = true;
        return true;
    } else if (result < 0 && result != -EOPNOTSUPP) {
        return false;
    }
    // A discard is a hint (5.2.6): where there is no punching of holes, nothing is to be done.
    ++range_;
    range_done_ = 0;
    return true;
}

RequestRunner::Failure RequestRunner::failure(int error) const noexcept {
    const bool reads = request_.type == RequestType::In;
    const char* const why = error != 0 ? std::strerror(error)
                            : reads    ? "the file has become shorter than the disk"
                                       : "the host wrote nothing";
    if (syncing_) {
        return {"flush", std::nullopt, why};
    }
    if (reads || request_.type == RequestType::Out) {
        return {reads ? "read" : "write", request_.offset, why};
    }
    return {request_.type == RequestType::Discard ? "discard" : "write of zeroes",
            request_.range_storage[range_].offset + range_done_, why};
}

void RequestRunner::on_result(std::int32_t result, std::uint32_t /*flags*/,
                              bool /*more*/) noexcept {
    if (!take(result)) {
        owner_.request_done(*this, RequestStatus::IoError, result < 0 ? -result : 0);
    } else if (const auto status = advance()) {
        owner_.request_done(*this, *status, 0);
    }
}

}  // namespace cxlvm::virtio::block
