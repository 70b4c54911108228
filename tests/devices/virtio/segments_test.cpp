// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/segments.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace cxlvm::virtio {
namespace {

/// "abcdefgh" in pieces of the given sizes.
class SegmentsTest : public testing::Test {
  protected:
    std::span<iovec> pieces(std::initializer_list<std::size_t> sizes) {
        segments_.clear();
        char* next = text_.data();
        for (const std::size_t size : sizes) {
            segments_.push_back({next, size});
            next += size;
        }
        return segments_;
    }
    static std::string text_of(std::span<const iovec> segments) {
        std::string text;
        for (const iovec& segment : segments) {
            text.append(static_cast<const char*>(segment.iov_base), segment.iov_len);
        }
        return text;
    }
    static std::span<std::byte> bytes(std::string& text) {
        return std::as_writable_bytes(std::span(text));
    }

    std::string text_ = "abcdefgh";
    std::vector<iovec> segments_;
};

TEST_F(SegmentsTest, TakesTheFrontWhereverElementsEnd) {
    for (const auto sizes : {std::initializer_list<std::size_t>{8},
                             {1, 7},
                             {3, 5},
                             {4, 4},
                             {1, 1, 1, 1, 1, 1, 1, 1},
                             {0, 2, 0, 1, 0, 5, 0}}) {
        std::span<iovec> segments = pieces(sizes);
        std::string front(3, '.');
        ASSERT_TRUE(take_front(segments, bytes(front)));
        EXPECT_EQ(front, "abc");
        EXPECT_EQ(text_of(segments), "defgh");
        EXPECT_EQ(total_bytes(segments), 5U);
    }
}

TEST_F(SegmentsTest, TakesAllOrNothing) {
    std::span<iovec> segments = pieces({3, 5});
    std::string nine(9, '.');
    EXPECT_FALSE(take_front(segments, bytes(nine)));
    EXPECT_EQ(nine, ".........");
    EXPECT_EQ(text_of(segments), "abcdefgh");
    std::string eight(8, '.');
    EXPECT_TRUE(take_front(segments, bytes(eight)));
    EXPECT_EQ(eight, "abcdefgh");
    EXPECT_TRUE(segments.empty());
    EXPECT_TRUE(take_front(segments, {}));
    EXPECT_FALSE(take_front(segments, bytes(eight)));
}

TEST_F(SegmentsTest, FillsTheFrontAndNothingElse) {
    std::span<iovec> segments = pieces({2, 0, 1, 5});
    std::string data = "ABCD";
    ASSERT_TRUE(fill_front(segments, bytes(data)));
    EXPECT_EQ(text_, "ABCDefgh");
    EXPECT_EQ(text_of(segments), "efgh");
    EXPECT_FALSE(fill_front(segments, bytes(text_)));
    EXPECT_EQ(text_, "ABCDefgh");
}

TEST_F(SegmentsTest, DropsTheFrontOrAllThereIs) {
    std::span<iovec> segments = pieces({2, 0, 1, 5});
    drop_front(segments, 0);
    EXPECT_EQ(text_of(segments), "abcdefgh");
    drop_front(segments, 3);
    EXPECT_EQ(text_of(segments), "defgh");
    EXPECT_EQ(segments.size(), 1U);
    drop_front(segments, 6);
    EXPECT_TRUE(segments.empty());
}

TEST_F(SegmentsTest, TakesTheLastByte) {
    std::span<iovec> segments = pieces({3, 4, 1, 0});
    EXPECT_EQ(take_last(segments), reinterpret_cast<std::byte*>(&text_[7]));
    EXPECT_EQ(text_of(segments), "abcdefg");
    EXPECT_EQ(segments.size(), 2U);
    EXPECT_EQ(take_last(segments), reinterpret_cast<std::byte*>(&text_[6]));
    EXPECT_EQ(text_of(segments), "abcdef");
}

TEST_F(SegmentsTest, ThereIsNoLastByteOfNothing) {
    std::span<iovec> none;
    EXPECT_EQ(take_last(none), nullptr);
    std::span<iovec> empty = pieces({0, 0});
    EXPECT_EQ(take_last(empty), nullptr);
    EXPECT_TRUE(empty.empty());
}

TEST_F(SegmentsTest, KeepsTheFrontAlone) {
    for (const auto sizes :
         {std::initializer_list<std::size_t>{8}, {3, 5}, {2, 2, 2, 2}, {0, 3, 0, 5, 0}}) {
        for (const std::size_t size : {0U, 1U, 3U, 4U, 8U, 100U}) {
            std::span<iovec> segments = pieces(sizes);
            keep_front(segments, size);
            EXPECT_EQ(text_of(segments), text_.substr(0, size)) << size;
        }
    }
}

TEST_F(SegmentsTest, ASliceLeavesTheSegmentsAlone) {
    const std::span<iovec> segments = pieces({0, 1, 2, 0, 3, 2});
    std::array<iovec, 8> out{};
    for (std::size_t offset = 0; offset <= 9; ++offset) {
        for (std::size_t size = 0; size <= 9; ++size) {
            const auto part = slice(segments, offset, size, out);
            EXPECT_EQ(text_of(part), offset > 8 ? "" : text_.substr(offset, size));
            for (const iovec& segment : part) {
                EXPECT_NE(segment.iov_len, 0U);
            }
        }
    }
    EXPECT_EQ(text_of(segments), text_);
    EXPECT_EQ(text_of(slice(segments, 0, 8, std::span(out).first(2))), "abc") << "no more room";
}

}  // namespace
}  // namespace cxlvm::virtio
