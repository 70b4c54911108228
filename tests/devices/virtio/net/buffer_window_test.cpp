// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/buffer_window.hpp"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <vector>

namespace cxlvm::virtio::net {
namespace {

TEST(BufferWindowTest, SegmentsStayInOrderWhileItSlides) {
    BufferWindow window;
    std::array<std::byte, 64> tail{};
    std::deque<std::vector<std::size_t>> expected;  // lengths of each buffer's segments
    std::size_t next = 1;
    std::uint64_t bytes = 0;
    for (unsigned step = 0; step < 5000; ++step) {
        if (window.takes_more() && (window.empty() || step % 3 != 2)) {
            std::vector<iovec> segments(1 + step * 7 % 256);
            Chain chain{.head = static_cast<std::uint16_t>(step % 256),
                        .readable = {},
                        .writable = segments,
                        .readable_bytes = 0,
                        .writable_bytes = 0};
            auto& lengths = expected.emplace_back();
            for (iovec& segment : segments) {
                segment = {.iov_base = nullptr, .iov_len = next++ % 1000 + 1};
                lengths.push_back(segment.iov_len);
                chain.writable_bytes += segment.iov_len;
            }
            bytes += chain.writable_bytes;
            window.push(chain);
        } else {
            bytes -= window.at(0).bytes;
            window.pop_front();
            expected.pop_front();
        }
        ASSERT_EQ(window.buffers(), expected.size());
        ASSERT_EQ(window.bytes(), bytes);
        const auto segments = window.segments_with(tail);
        std::size_t index = 0;
        for (const auto& lengths : expected) {
            for (const std::size_t length : lengths) {
                ASSERT_EQ(segments[index++].iov_len, length);
            }
        }
        ASSERT_EQ(index + 1, segments.size());
        ASSERT_EQ(segments.back().iov_base, tail.data());
        ASSERT_LE(segments.size(), 1023U);
    }
}

TEST(BufferWindowTest, TakesAFullRingOfShortBuffers) {
    BufferWindow window;
    iovec segment{.iov_base = nullptr, .iov_len = 1536};
    for (std::uint16_t head = 0; head < 256; ++head) {
        ASSERT_TRUE(window.takes_more());
        window.push({.head = head,
                     .readable = {},
                     .writable = std::span(&segment, 1),
                     .readable_bytes = 0,
                     .writable_bytes = 1536});
    }
    EXPECT_FALSE(window.takes_more());
    window.clear();
    EXPECT_TRUE(window.empty());
    EXPECT_EQ(window.bytes(), 0U);
}

}  // namespace
}  // namespace cxlvm::virtio::net
