// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <span>

#include "devices/virtio/block/spec.hpp"
#include "devices/virtio/split_queue.hpp"

namespace cxlvm::virtio::block {

/// What a disk takes.
struct Limits {
    std::uint64_t sectors = 0;            ///< its capacity
    bool read_only = false;               ///< the driver knows by kFeatureReadOnly
    bool discard = false;                 ///< kFeatureDiscard was negotiated
    bool write_zeroes = false;            ///< kFeatureWriteZeroes was negotiated
    std::uint32_t max_range_sectors = 0;  ///< of one range of a discard or write zeroes request
};

/// A range in bytes, inside the disk.
struct ByteRange {
    std::uint64_t offset;
    std::uint64_t size;  ///< not 0
    bool unmap;          ///< write zeroes: the blocks may be given back
};

/// Ranges of one discard or write zeroes request, at most: what the configuration space announces
/// as max_discard_seg and max_write_zeroes_seg.
inline constexpr std::size_t kMaxRanges = 16;

/// A request of the driver, checked: what remains is to do it.
struct Request {
    RequestType type{};
    /// Where the status goes, guest memory. Null when the driver left no room for one: then nothing
    /// can be said, and the chain is given back as it is.
    std::byte* status = nullptr;
    std::uint64_t offset = 0;  ///< in bytes, of In and Out
    /// In: to be filled. Out: to be written. GetId: room for kIdSize bytes.
    std::span<iovec> data;
    std::uint64_t bytes = 0;                          ///< of `data`
    std::array<ByteRange, kMaxRanges> range_storage;  ///< beyond `range_count`: whatever was there
    std::size_t range_count = 0;

    [[nodiscard]] std::span<const ByteRange> ranges() const noexcept {
        return std::span(range_storage).first(range_count);
    }
};

/// Takes `chain` apart into `request`. On any answer but Ok the request must not be carried out,
/// and is answered with that status when `request.status` is there.
///
/// Every number of the driver's is read once and checked: what is Ok lies inside the disk, in whole
/// sectors, and writes to nothing that is read-only.
[[nodiscard]] RequestStatus parse(const Chain& chain, const Limits& limits,
                                  Request& request) noexcept;

}  // namespace cxlvm::virtio::block
