// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/boot/blake2b.hpp"
#include "vmm/boot/elf.hpp"

namespace cxlvm::boot {

/// First page of a cache entry. Behind it come the bytes of the segments, each at the same offset
/// within a page as its address has, so that whole pages can be mapped where they belong.
struct CacheEntryHeader {
    static constexpr std::uint64_t kMagic = 0x346c'6e72'6b6c'7863;  ///< "cxlkrnl4": a version, too
    static constexpr std::uint32_t kHasEntry64 = 1U << 0;
    static constexpr std::uint32_t kHasPvhEntry = 1U << 1;
    static constexpr std::uint32_t kIsLinux = 1U << 2;

    struct Segment {
        std::uint64_t address;
        std::uint64_t offset;
        std::uint64_t file_size;
        std::uint64_t memory_size;
        std::uint64_t constant;  ///< 0 or 1
    };

    std::uint64_t magic;
    std::uint64_t size;  ///< of the whole file
    Digest payload;      ///< what it was unpacked from, which is its name as well
    std::uint32_t flags;
    std::uint32_t segment_count;
    std::uint64_t entry64;
    std::uint64_t pvh_entry;
    std::array<Segment, kMaxSegments> segments;  ///< zero beyond `segment_count`
    std::array<std::byte, 1432> reserved;        ///< zero
    Digest checksum;                             ///< of all up to the last segment in use
};
inline constexpr std::uint64_t kCachePageSize = 4096;
static_assert(sizeof(CacheEntryHeader) == kCachePageSize);
static_assert(std::has_unique_object_representations_v<CacheEntryHeader>);

/// The kernel with its segments where a cache entry holds them; `size` is the entry's size.
struct CacheLayout {
    KernelImage kernel;
    std::uint64_t size = 0;
};
[[nodiscard]] CacheLayout lay_out(const KernelImage& kernel);

[[nodiscard]] CacheEntryHeader make_header(const CacheLayout& layout, const Digest& payload);

/// The kernel that a header describes; nothing unless the header is whole, belongs to `payload` and
/// fits a file of `size` bytes.
[[nodiscard]] std::optional<KernelImage> read_header(const CacheEntryHeader& header,
                                                     const Digest& payload, std::uint64_t size);

}  // namespace cxlvm::boot
