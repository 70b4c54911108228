// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/request.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::block {
namespace {

constexpr std::uint64_t kSectors = 1000;

/// Builds chains as a driver would, in buffers of this test's.
class BlockRequestTest : public testing::Test {
  protected:
    template <typename T>
    void add_readable(const T& value) {
        const auto* const begin = reinterpret_cast<const std::byte*>(&value);
        readable_.insert(readable_.end(), begin, begin + sizeof(T));
    }
    void add_header(RequestType type, std::uint64_t sector = 0) {
        add_readable(RequestHeader{static_cast<std::uint32_t>(type), 0, sector});
    }
    /// A header, `out` bytes to read, `in` bytes to write, and the status.
    RequestStatus parse_request(RequestType type, std::uint64_t sector, std::size_t out,
                                std::size_t in) {
        readable_.clear();
        add_header(type, sector);
        readable_.resize(readable_.size() + out);
        writable_.assign(in + 1, std::byte{0xee});
        return parse_bytes();
    }
    RequestStatus parse_ranges(RequestType type, const std::vector<SectorRange>& ranges) {
        readable_.clear();
        add_header(type);
        for (const SectorRange& range : ranges) {
            add_readable(range);
        }
        writable_.assign(1, std::byte{0xee});
        return parse_bytes();
    }
    /// What is in `readable_` and `writable_`, in elements of `element_size_`.
    RequestStatus parse_bytes() {
        split(readable_, readable_segments_);
        split(writable_, writable_segments_);
        chain_ = {.head = 0,
                  .readable = readable_segments_,
                  .writable = writable_segments_,
                  .readable_bytes = readable_.size(),
                  .writable_bytes = writable_.size()};
        return parse(chain_, limits_, request_);
    }

    Limits limits_{.sectors = kSectors,
                   .read_only = false,
                   .discard = true,
                   .write_zeroes = true,
                   .max_range_sectors = 64};
    std::size_t element_size_ = 4096;
    Request request_;
    std::vector<std::byte> readable_;
    std::vector<std::byte> writable_;

  private:
    void split(std::vector<std::byte>& bytes, std::vector<iovec>& segments) const {
        segments.clear();
        for (std::size_t done = 0; done < bytes.size(); done += element_size_) {
            segments.push_back({bytes.data() + done, std::min(element_size_, bytes.size() - done)});
        }
    }

    std::vector<iovec> readable_segments_;
    std::vector<iovec> writable_segments_;
    Chain chain_;
};

TEST_F(BlockRequestTest, ReadsAndWritesWhereverElementsEnd) {
    for (const std::size_t size : {1U, 5U, 16U, 17U, 512U, 4096U}) {
        element_size_ = size;
        ASSERT_EQ(parse_request(RequestType::In, 7, 0, 1024), RequestStatus::Ok) << size;
        EXPECT_EQ(request_.type, RequestType::In);
        EXPECT_EQ(request_.offset, 7 * kSectorSize);
        EXPECT_EQ(request_.bytes, 1024U);
        EXPECT_EQ(total_bytes(request_.data), 1024U);
        EXPECT_EQ(request_.data.front().iov_base, writable_.data());
        EXPECT_EQ(request_.status, &writable_.back());
        ASSERT_EQ(parse_request(RequestType::Out, 8, 512, 0), RequestStatus::Ok) << size;
        EXPECT_EQ(request_.offset, 8 * kSectorSize);
        EXPECT_EQ(request_.data.front().iov_base, readable_.data() + sizeof(RequestHeader));
        EXPECT_EQ(total_bytes(request_.data), 512U);
        EXPECT_EQ(request_.status, &writable_.back());
    }
}

TEST_F(BlockRequestTest, TheLastSectorIsThereAndTheNextOneIsNot) {
    for (const RequestType type : {RequestType::In, RequestType::Out}) {
        const auto with = [&](std::uint64_t sector, std::size_t bytes) {
            return type == RequestType::In ? parse_request(type, sector, 0, bytes)
                                           : parse_request(type, sector, bytes, 0);
        };
        EXPECT_EQ(with(kSectors - 1, 512), RequestStatus::Ok);
        EXPECT_EQ(with(kSectors - 1, 1024), RequestStatus::IoError);
        EXPECT_EQ(with(kSectors, 512), RequestStatus::IoError);
        EXPECT_EQ(with(0, kSectors * 512), RequestStatus::Ok);
        EXPECT_EQ(with(0, (kSectors + 1) * 512), RequestStatus::IoError);
        EXPECT_EQ(with(~std::uint64_t{0}, 512), RequestStatus::IoError);
        // Sector times 512 overflows to a sector that is there.
        EXPECT_EQ(with(std::uint64_t{1} << 55, 512), RequestStatus::IoError);
        EXPECT_EQ(with(0, 0), RequestStatus::Ok);
        EXPECT_EQ(with(0, 511), RequestStatus::IoError);
        EXPECT_EQ(with(0, 513), RequestStatus::IoError);
    }
}

TEST_F(BlockRequestTest, AReadOnlyDiskIsNotWritten) {
    limits_.read_only = true;
    EXPECT_EQ(parse_request(RequestType::In, 0, 0, 512), RequestStatus::Ok);
    EXPECT_EQ(parse_request(RequestType::Flush, 0, 0, 0), RequestStatus::Ok);
    EXPECT_EQ(parse_request(RequestType::Out, 0, 512, 0), RequestStatus::IoError);
    EXPECT_EQ(parse_ranges(RequestType::Discard, {{0, 8, 0}}), RequestStatus::IoError);
    EXPECT_EQ(parse_ranges(RequestType::WriteZeroes, {{0, 8, 0}}), RequestStatus::IoError);
    EXPECT_NE(request_.status, nullptr);
}

TEST_F(BlockRequestTest, AHeaderThatIsCutShortIsAnError) {
    for (std::size_t size = 0; size < sizeof(RequestHeader); ++size) {
        readable_.assign(size, std::byte{0});
        writable_.assign(513, std::byte{0});
        EXPECT_EQ(parse_bytes(), RequestStatus::IoError);
        EXPECT_EQ(request_.status, &writable_.back());
    }
}

TEST_F(BlockRequestTest, WithoutRoomForAStatusThereIsNone) {
    readable_.clear();
    add_header(RequestType::Out);
    readable_.resize(readable_.size() + 512);
    writable_.clear();
    EXPECT_EQ(parse_bytes(), RequestStatus::IoError);
    EXPECT_EQ(request_.status, nullptr);
}

TEST_F(BlockRequestTest, TheIdNeedsItsRoom) {
    EXPECT_EQ(parse_request(RequestType::GetId, 0, 0, kIdSize), RequestStatus::Ok);
    EXPECT_EQ(request_.bytes, kIdSize);
    EXPECT_EQ(parse_request(RequestType::GetId, 0, 0, kIdSize - 1), RequestStatus::IoError);
}

TEST_F(BlockRequestTest, UnknownRequestsAreUnsupported) {
    for (const std::uint32_t type : {2U, 3U, 5U, 9U, 10U, 12U, 14U, 0x8000'0000U, ~0U}) {
        EXPECT_EQ(parse_request(RequestType{type}, 0, 0, 512), RequestStatus::Unsupported) << type;
        EXPECT_NE(request_.status, nullptr);
    }
}

TEST_F(BlockRequestTest, RangesAreTakenInOrder) {
    element_size_ = 7;
    ASSERT_EQ(parse_ranges(RequestType::WriteZeroes, {{1, 8, 0}, {kSectors - 64, 64, kRangeUnmap}}),
              RequestStatus::Ok);
    ASSERT_EQ(request_.ranges().size(), 2U);
    EXPECT_EQ(request_.ranges()[0].offset, 512U);
    EXPECT_EQ(request_.ranges()[0].size, 8 * 512U);
    EXPECT_FALSE(request_.ranges()[0].unmap);
    EXPECT_EQ(request_.ranges()[1].offset, (kSectors - 64) * 512);
    EXPECT_TRUE(request_.ranges()[1].unmap);
    ASSERT_EQ(parse_ranges(RequestType::Discard, {{0, 64, 0}}), RequestStatus::Ok);
    EXPECT_EQ(request_.ranges().size(), 1U);
}

TEST_F(BlockRequestTest, RangesOfNothingAreLeftOut) {
    ASSERT_EQ(parse_ranges(RequestType::Discard, {{5, 0, 0}, {6, 1, 0}, {kSectors, 0, 0}}),
              RequestStatus::Ok);
    ASSERT_EQ(request_.ranges().size(), 1U);
    EXPECT_EQ(request_.ranges()[0].offset, 6 * kSectorSize);
    EXPECT_EQ(parse_ranges(RequestType::Discard, {{kSectors + 1, 0, 0}}), RequestStatus::IoError);
}

TEST_F(BlockRequestTest, RangesMustLieOnTheDisk) {
    for (const RequestType type : {RequestType::Discard, RequestType::WriteZeroes}) {
        EXPECT_EQ(parse_ranges(type, {{kSectors - 1, 1, 0}}), RequestStatus::Ok);
        EXPECT_EQ(parse_ranges(type, {{kSectors - 1, 2, 0}}), RequestStatus::IoError);
        EXPECT_EQ(parse_ranges(type, {{kSectors, 1, 0}}), RequestStatus::IoError);
        EXPECT_EQ(parse_ranges(type, {{~std::uint64_t{0}, 64, 0}}), RequestStatus::IoError);
        EXPECT_EQ(parse_ranges(type, {{0, 65, 0}}), RequestStatus::IoError);
        EXPECT_EQ(parse_ranges(type, {{0, 8, 0}, {kSectors, 8, 0}}), RequestStatus::IoError);
    }
}

TEST_F(BlockRequestTest, FlagsOfRangesAreChecked) {
    EXPECT_EQ(parse_ranges(RequestType::Discard, {{0, 8, kRangeUnmap}}),
              RequestStatus::Unsupported);
    EXPECT_EQ(parse_ranges(RequestType::Discard, {{0, 8, 2}}), RequestStatus::Unsupported);
    EXPECT_EQ(parse_ranges(RequestType::WriteZeroes, {{0, 8, 2}}), RequestStatus::Unsupported);
    EXPECT_EQ(parse_ranges(RequestType::WriteZeroes, {{0, 8, ~0U}}), RequestStatus::Unsupported);
}

TEST_F(BlockRequestTest, NoRangesTooManyAndHalfOnesAreErrors) {
    EXPECT_EQ(parse_ranges(RequestType::Discard, {}), RequestStatus::IoError);
    EXPECT_EQ(parse_ranges(RequestType::Discard, std::vector<SectorRange>(kMaxRanges, {0, 1, 0})),
              RequestStatus::Ok);
    EXPECT_EQ(request_.ranges().size(), kMaxRanges);
    EXPECT_EQ(
        parse_ranges(RequestType::Discard, std::vector<SectorRange>(kMaxRanges + 1, {0, 1, 0})),
        RequestStatus::IoError);
    EXPECT_EQ(parse_request(RequestType::Discard, 0, 15, 0), RequestStatus::IoError);
    EXPECT_EQ(parse_request(RequestType::Discard, 0, 17, 0), RequestStatus::IoError);
}

TEST_F(BlockRequestTest, WhatWasNotNegotiatedIsUnsupported) {
    limits_.discard = false;
    EXPECT_EQ(parse_ranges(RequestType::Discard, {{0, 8, 0}}), RequestStatus::Unsupported);
    EXPECT_EQ(parse_ranges(RequestType::WriteZeroes, {{0, 8, 0}}), RequestStatus::Ok);
    limits_.write_zeroes = false;
    EXPECT_EQ(parse_ranges(RequestType::WriteZeroes, {{0, 8, 0}}), RequestStatus::Unsupported);
}

}  // namespace
}  // namespace cxlvm::virtio::block
