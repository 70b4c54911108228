// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/filler.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::Bytes;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kOffset = 0x200;  // of the segment in the image
constexpr Gpa kBase{0x100'0000};

/// An image without two equal bytes side by side.
Bytes image_of(std::uint64_t size) {
    Bytes bytes(kOffset + size);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>(1 + i % 251);
    }
    return bytes;
}

/// From `begin` to `end` of the segment.
void fill(Bytes& image, std::uint64_t begin, std::uint64_t end, int byte) {
    std::fill(image.begin() + static_cast<std::ptrdiff_t>(kOffset + begin),
              image.begin() + static_cast<std::ptrdiff_t>(kOffset + end),
              static_cast<std::byte>(byte));
}

Segment segment_of(const Bytes& image) {
    const std::uint64_t size = image.size() - kOffset;
    return {.address = kBase, .offset = kOffset, .file_size = size, .memory_size = size};
}

std::vector<Segment> split(const Bytes& image, const Segment& segment) {
    KernelImage kernel;
    kernel.segments = {segment};
    split_off_filler(kernel, image);
    return kernel.segments;
}

Segment part(std::uint64_t begin, std::uint64_t content_end, std::uint64_t end,
             bool constant = false) {
    return {.address = Gpa(kBase.value() + begin),
            .offset = kOffset + begin,
            .file_size = content_end - begin,
            .memory_size = end - begin,
            .constant = constant};
}

TEST(SplitOffFiller, LeavesOutZerosAtTheEndToTheByte) {
    Bytes image = image_of(3 * kPage);
    fill(image, kPage + 5, 3 * kPage, 0);
    EXPECT_EQ(split(image, segment_of(image)), std::vector{part(0, kPage + 5, 3 * kPage)});
}

TEST(SplitOffFiller, LeavesOutLongZerosWithin) {
    Bytes image = image_of(kMiB);
    fill(image, 8 * kPage, 24 * kPage, 0);
    fill(image, 40 * kPage, 55 * kPage, 0);  // too short
    EXPECT_EQ(split(image, segment_of(image)),
              (std::vector{part(0, 8 * kPage, 24 * kPage), part(24 * kPage, kMiB, kMiB)}));
}

TEST(SplitOffFiller, MakesLongFillerConstantWithTheFewPagesInIt) {
    Bytes image = image_of(4 * kMiB);
    fill(image, kMiB, 2 * kMiB, 0xcc);
    fill(image, 2 * kMiB + 4 * kPage, 3 * kMiB, 0xcc);
    EXPECT_EQ(split(image, segment_of(image)),
              (std::vector{part(0, kMiB, kMiB), part(kMiB, 3 * kMiB, 3 * kMiB, true),
                           part(3 * kMiB, 4 * kMiB, 4 * kMiB)}));
}

TEST(SplitOffFiller, LeavesShortFillerAlone) {
    Bytes image = image_of(4 * kMiB);
    fill(image, kMiB, 2 * kMiB - kPage, 0xcc);
    fill(image, 2 * kMiB + 4 * kPage, 3 * kMiB, 0xcc);  // too far away to count together
    EXPECT_EQ(split(image, segment_of(image)), std::vector{segment_of(image)});
}

TEST(SplitOffFiller, CutsAtPagesOfTheAddress) {
    Bytes image = image_of(2 * kMiB);
    fill(image, 100, kMiB + 3 * kPage, 0xcc);
    Segment segment = segment_of(image);
    segment.address = Gpa(kBase.value() + kPage - 10);
    const auto parts = split(image, segment);
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[1].address, Gpa(kBase.value() + 2 * kPage));
    EXPECT_EQ(parts[1].offset, kOffset + kPage + 10);
    EXPECT_EQ(parts[1].memory_size, kMiB + kPage);
    EXPECT_TRUE(parts[1].constant);
}

TEST(SplitOffFiller, LeavesConstantsWholeButForTheirEnd) {
    Bytes image = image_of(2 * kMiB);
    fill(image, kPage, 2 * kMiB - kPage, 0);
    fill(image, 2 * kMiB - 10, 2 * kMiB, 0);
    Segment segment = segment_of(image);
    segment.constant = true;
    EXPECT_EQ(split(image, segment), std::vector{part(0, 2 * kMiB - 10, 2 * kMiB, true)});
}

TEST(SplitOffFiller, LeavesASegmentOfZerosWithoutContent) {
    Bytes image = image_of(kMiB);
    fill(image, 0, kMiB, 0);
    EXPECT_EQ(split(image, segment_of(image)), std::vector{part(0, 0, kMiB)});
}

TEST(SplitOffFiller, MakesNoMoreSegmentsThanThereMayBe) {
    constexpr std::uint64_t kStride = 32 * kPage;
    Bytes image = image_of((kMaxSegments + 1) * kStride);
    for (std::uint64_t at = 0; at + kStride <= image.size(); at += kStride) {
        fill(image, at, at + kStride / 2, 0);
    }
    EXPECT_EQ(split(image, segment_of(image)), std::vector{segment_of(image)});
    // What comes behind it still has its place.
    image.resize(kOffset + (kMaxSegments - 1) * kStride);
    KernelImage kernel;
    kernel.segments = {segment_of(image), segment_of(image)};
    split_off_filler(kernel, image);
    EXPECT_EQ(kernel.segments.size(), 2U);
}

}  // namespace
}  // namespace cxlvm::boot
