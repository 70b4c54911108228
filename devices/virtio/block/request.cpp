// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/request.hpp"

#include <optional>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::block {

namespace {

template <typename T>
bool take(std::span<iovec>& segments, T& out) noexcept {
    return take_front(segments, std::as_writable_bytes(std::span(&out, 1)));
}

/// Whether the sectors are there; written so that nothing overflows.
bool on_disk(std::uint64_t sector, std::uint64_t sectors, const Limits& limits) noexcept {
    return sector <= limits.sectors && sectors <= limits.sectors - sector;
}

/// In and Out.
RequestStatus parse_transfer(std::uint64_t sector, const Limits& limits,
                             Request& request) noexcept {
    request.bytes = total_bytes(request.data);
    if (request.bytes % kSectorSize != 0 || !on_disk(sector, request.bytes / kSectorSize, limits)) {
        return RequestStatus::IoError;
    }
    request.offset = sector * kSectorSize;
    return RequestStatus::Ok;
}

RequestStatus add_range(const SectorRange& range, const Limits& limits, Request& request) noexcept {
    const bool unmap = (range.flags & kRangeUnmap) != 0;
    // 5.2.6.2: no unknown flag, and a discard has none at all.
    if ((range.flags & ~kRangeUnmap) != 0 || (unmap && request.type == RequestType::Discard)) {
        return RequestStatus::Unsupported;
    }
    if (request.range_count == kMaxRanges || range.sectors > limits.max_range_sectors ||
        !on_disk(range.sector, range.sectors, limits)) {
        return RequestStatus::IoError;
    }
    if (range.sectors == 0) {
        return RequestStatus::Ok;  // nothing to do, and nothing that the host need hear of
    }
    request.range_storage[request.range_count++] = {
        .offset = range.sector * kSectorSize, .size = range.sectors * kSectorSize, .unmap = unmap};
    return RequestStatus::Ok;
}

RequestStatus parse_ranges(std::span<iovec> readable, const Limits& limits,
                           Request& request) noexcept {
    const std::uint64_t bytes = total_bytes(readable);
    if (bytes == 0 || bytes % sizeof(SectorRange) != 0) {
        return RequestStatus::IoError;
    }
    SectorRange range{};
    while (take(readable, range)) {
        if (const RequestStatus status = add_range(range, limits, request);
            status != RequestStatus::Ok) {
            return status;
        }
    }
    return RequestStatus::Ok;
}

}  // namespace

RequestStatus parse(const Chain& chain, const Limits& limits, Request& request) noexcept {
    request.data = {};
    request.offset = 0;
    request.bytes = 0;
    request.range_count = 0;
    std::span<iovec> readable = chain.readable;
    std::span<iovec> writable = chain.writable;
    request.status = take_last(writable);
    RequestHeader header{};
    if (request.status == nullptr || !take(readable, header)) {
        return RequestStatus::IoError;
    }
    request.type = RequestType{header.type};
    switch (request.type) {
        case RequestType::In:
            request.data = writable;
            return parse_transfer(header.sector, limits, request);
        case RequestType::Out:
            if (limits.read_only) {
                return RequestStatus::IoError;
            }
            request.data = readable;
            return parse_transfer(header.sector, limits, request);
        case RequestType::Flush:
            return RequestStatus::Ok;
        case RequestType::GetId:
            request.data = writable;
            request.bytes = total_bytes(writable);
            return request.bytes < kIdSize ? RequestStatus::IoError : RequestStatus::Ok;
        case RequestType::Discard:
        case RequestType::WriteZeroes:
            if (!(request.type == RequestType::Discard ? limits.discard : limits.write_zeroes)) {
                return RequestStatus::Unsupported;
            }
            return limits.read_only ? RequestStatus::IoError
                                    : parse_ranges(readable, limits, request);
        case RequestType::GetLifetime:
        case RequestType::SecureErase:
            break;
    }
    return RequestStatus::Unsupported;
}

}  // namespace cxlvm::virtio::block
