// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/stream_buffer.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "io/mapping.hpp"

namespace cxlvm::virtio::vsock {
namespace {

class StreamBufferTest : public testing::Test {
  protected:
    static std::vector<iovec> pieces(std::string& text, std::size_t piece) {
        std::vector<iovec> segments;
        for (std::size_t at = 0; at < text.size(); at += piece) {
            segments.push_back({text.data() + at, std::min(piece, text.size() - at)});
        }
        return segments;
    }
    void append(std::string text, std::size_t piece = 1000) { buffer_.append(pieces(text, piece)); }
    void prepend(std::string text, std::size_t piece = 1000) {
        buffer_.prepend(pieces(text, piece));
    }
    [[nodiscard]] std::string content() const {
        std::array<iovec, 2> out{};
        std::string text;
        for (const iovec& segment : buffer_.bytes(out)) {
            EXPECT_NE(segment.iov_len, 0U);
            text.append(static_cast<const char*>(segment.iov_base), segment.iov_len);
        }
        return text;
    }
    static std::string pattern(std::size_t size, unsigned seed) {
        std::string text(size, '\0');
        for (char& byte : text) {
            seed = seed * 1103515245 + 12345;
            byte = static_cast<char>(seed >> 16);
        }
        return text;
    }

    static constexpr std::size_t kSize = 8192;
    io::Mapping memory_{
        {.size = kSize, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS},
        "test"};
    StreamBuffer buffer_{memory_.bytes()};
};

TEST_F(StreamBufferTest, KeepsTheOrderRoundItsEnd) {
    std::string expected;
    for (unsigned round = 0; round < 200; ++round) {
        const std::string more = pattern(1 + round * 37 % 3000, round);
        append(more, 1 + round % 700);
        expected += more;
        const std::size_t count = std::min(expected.size(), std::size_t{1 + round * 53 % 3500});
        ASSERT_EQ(content(), expected);
        buffer_.drop(count);
        expected.erase(0, count);
        if (expected.size() > kSize - 3000) {
            buffer_.drop(expected.size() - 1);
            expected.erase(0, expected.size() - 1);
        }
        ASSERT_EQ(buffer_.size(), expected.size());
    }
}

TEST_F(StreamBufferTest, WhatIsPrependedComesFirst) {
    prepend("first");
    EXPECT_EQ(content(), "first");
    prepend(std::string(2500, 'a') + "b", 999);
    EXPECT_EQ(content(), std::string(2500, 'a') + "bfirst");
    append("last");
    buffer_.drop(2501);
    prepend("0");
    EXPECT_EQ(content(), "0firstlast");
}

TEST_F(StreamBufferTest, TakesAllThatItHasRoomFor) {
    append(pattern(kSize - 10, 1));
    prepend("0123456789");
    EXPECT_EQ(content(), "0123456789" + pattern(kSize - 10, 1));
    buffer_.drop(kSize);
    EXPECT_TRUE(buffer_.empty());
    EXPECT_EQ(content(), "");
    prepend(pattern(kSize, 2));
    EXPECT_EQ(content(), pattern(kSize, 2));
}

TEST_F(StreamBufferTest, PagesAreThereWhileTheyAreNeeded) {
    const auto resident = [this] {
        std::array<unsigned char, kSize / 4096> pages{};
        EXPECT_EQ(::mincore(memory_.bytes().data(), kSize, pages.data()), 0);
        return std::ranges::count_if(pages, [](unsigned char page) { return (page & 1U) != 0; });
    };
    EXPECT_EQ(resident(), 0);
    append("x");
    EXPECT_EQ(resident(), 1);
    buffer_.release();
    EXPECT_EQ(resident(), 0);
    EXPECT_TRUE(buffer_.empty());
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
