// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cache_entry.hpp"

#include <cstddef>
#include <cstring>
#include <span>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::boot {

namespace {

/// Bytes of the header that say something: what precedes the segments, and those that are in use.
std::size_t used_size(const CacheEntryHeader& header) noexcept {
    return offsetof(CacheEntryHeader, segments) +
           std::size_t{header.segment_count} * sizeof(CacheEntryHeader::Segment);
}

/// Of the part in use alone: a small part, and this is done at every start.
/// `segment_count` is at most kMaxSegments.
Digest checksum_of(const CacheEntryHeader& header) noexcept {
    return Blake2b::of(std::as_bytes(std::span(&header, 1)).first(used_size(header)));
}

/// Whether the checksum is right, and the bytes between it and what it covers are zero.
bool is_whole(const CacheEntryHeader& header) noexcept {
    const std::size_t used = used_size(header);
    const auto unused = std::as_bytes(std::span(&header, 1))
                            .subspan(used, offsetof(CacheEntryHeader, checksum) - used);
    // All are zero if the first is and each is the same as the next; there are `reserved` at least.
    return unused.front() == std::byte{0} &&
           std::memcmp(unused.data(), unused.data() + 1, unused.size() - 1) == 0 &&
           header.checksum == checksum_of(header);
}

/// Ascending, disjoint, within the file, at the same offset within a page as in memory.
bool is_valid(const std::vector<Segment>& segments, std::uint64_t size) noexcept {
    std::uint64_t free_from = 0;
    for (const Segment& segment : segments) {
        const auto end = io::checked_add(segment.address.value(), segment.memory_size);
        if (!end || segment.memory_size == 0 || segment.file_size > segment.memory_size ||
            segment.address.value() < free_from || segment.offset < kCachePageSize ||
            segment.offset > size || segment.file_size > size - segment.offset ||
            !io::is_aligned(segment.offset ^ segment.address.value(), kCachePageSize)) {
            return false;
        }
        free_from = *end;
    }
    return !segments.empty();
}

}  // namespace

CacheLayout lay_out(const KernelImage& kernel) {
    CacheLayout layout{.kernel = kernel, .size = kCachePageSize};
    for (Segment& segment : layout.kernel.segments) {
        segment.offset =
            io::align_up(layout.size, kCachePageSize) + segment.address.value() % kCachePageSize;
        layout.size = segment.offset + segment.file_size;
    }
    return layout;
}

CacheEntryHeader make_header(const CacheLayout& layout, const Digest& payload) {
    const KernelImage& kernel = layout.kernel;
    io::check(kernel.segments.size() <= kMaxSegments, "make_header: too many segments");
    CacheEntryHeader header{};
    header.magic = CacheEntryHeader::kMagic;
    header.size = layout.size;
    header.payload = payload;
    header.flags = (kernel.entry64 ? CacheEntryHeader::kHasEntry64 : 0) |
                   (kernel.pvh_entry ? CacheEntryHeader::kHasPvhEntry : 0) |
                   (kernel.is_linux ? CacheEntryHeader::kIsLinux : 0);
    header.segment_count = static_cast<std::uint32_t>(kernel.segments.size());
    header.entry64 = kernel.entry64.value_or(Gpa()).value();
    header.pvh_entry = kernel.pvh_entry.value_or(Gpa()).value();
    for (std::size_t i = 0; i < kernel.segments.size(); ++i) {
        const Segment& segment = kernel.segments[i];
        header.segments[i] = {.address = segment.address.value(),
                              .offset = segment.offset,
                              .file_size = segment.file_size,
                              .memory_size = segment.memory_size,
                              .constant = segment.constant ? 1U : 0U};
    }
    header.checksum = checksum_of(header);
    return header;
}

std::optional<KernelImage> read_header(const CacheEntryHeader& header, const Digest& payload,
                                       std::uint64_t size) {
    if (header.magic != CacheEntryHeader::kMagic || header.size != size ||
        header.payload != payload || header.segment_count > kMaxSegments || !is_whole(header)) {
        return std::nullopt;
    }
    KernelImage kernel;
    for (const auto& segment : std::span(header.segments).first(header.segment_count)) {
        kernel.segments.push_back({.address = Gpa(segment.address),
                                   .offset = segment.offset,
                                   .file_size = segment.file_size,
                                   .memory_size = segment.memory_size,
                                   .constant = segment.constant != 0});
    }
    if (!is_valid(kernel.segments, size)) {
        return std::nullopt;
    }
    if ((header.flags & CacheEntryHeader::kHasEntry64) != 0) {
        kernel.entry64 = Gpa(header.entry64);
    }
    if ((header.flags & CacheEntryHeader::kHasPvhEntry) != 0) {
        kernel.pvh_entry = Gpa(header.pvh_entry);
    }
    kernel.is_linux = (header.flags & CacheEntryHeader::kIsLinux) != 0;
    return kernel;
}

}  // namespace cxlvm::boot
