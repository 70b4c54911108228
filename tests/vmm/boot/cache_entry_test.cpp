// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cache_entry.hpp"

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

KernelImage some_kernel() {
    return {.segments =
                {{.address = Gpa(0x20'0000),
                  .offset = 0x1000,
                  .file_size = 0x1234,
                  .memory_size = 0x2000,
                  .constant = true},
                 {.address = Gpa(0x30'0123), .offset = 0x77, .file_size = 0, .memory_size = 0x10}},
            .entry64 = Gpa(0x20'0040),
            .pvh_entry = Gpa(0x20'0080),
            .is_linux = true};
}

const Digest kDigest = Blake2b::of(test::bytes_of("payload"));

TEST(CacheLayout, KeepsEachSegmentsOffsetWithinItsPage) {
    const CacheLayout layout = lay_out(some_kernel());
    std::uint64_t end = kCachePageSize;
    for (const Segment& segment : layout.kernel.segments) {
        EXPECT_EQ(segment.offset % kCachePageSize, segment.address.value() % kCachePageSize);
        EXPECT_GE(segment.offset, end);
        end = segment.offset + segment.file_size;
    }
    EXPECT_EQ(layout.size, end);
}

TEST(CacheEntryHeader, BringsBackTheKernel) {
    const CacheLayout layout = lay_out(some_kernel());
    const CacheEntryHeader header = make_header(layout, kDigest);
    EXPECT_EQ(read_header(header, kDigest, layout.size), layout.kernel);
}

TEST(CacheEntryHeader, BelongsToOnePayloadAndOneSize) {
    const CacheLayout layout = lay_out(some_kernel());
    const CacheEntryHeader header = make_header(layout, kDigest);
    EXPECT_EQ(read_header(header, Digest{}, layout.size), std::nullopt);
    EXPECT_EQ(read_header(header, kDigest, layout.size - 1), std::nullopt);
}

TEST(CacheEntryHeader, IsRefusedWithAnyByteChanged) {
    const CacheLayout layout = lay_out(some_kernel());
    CacheEntryHeader header = make_header(layout, kDigest);
    const auto bytes = std::as_writable_bytes(std::span(&header, 1));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] ^= std::byte{1};
        EXPECT_EQ(read_header(header, kDigest, layout.size), std::nullopt) << i;
        bytes[i] ^= std::byte{1};
    }
    EXPECT_NE(read_header(header, kDigest, layout.size), std::nullopt);
}

/// A header with a right checksum may still describe nonsense.
TEST(CacheEntryHeader, IsRefusedWithSegmentsOutOfPlace) {
    const auto refused = [](auto change) {
        CacheLayout layout = lay_out(some_kernel());
        change(layout);
        return !read_header(make_header(layout, kDigest), kDigest, layout.size).has_value();
    };
    EXPECT_FALSE(refused([](CacheLayout&) {}));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments.clear(); }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].offset = ~0ULL; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].offset = 0; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].file_size = 0x1'0000; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].memory_size = 0; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].memory_size = 0x20'0000; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[1].address = Gpa(~0ULL); }));
    // Elsewhere in its page than in memory: it could not be mapped.
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].offset += 8; }));
    EXPECT_TRUE(refused([](CacheLayout& l) { l.kernel.segments[0].address = Gpa(0x1f'f800); }));
}

}  // namespace
}  // namespace cxlvm::boot
