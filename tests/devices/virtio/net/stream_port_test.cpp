// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/stream_port.hpp"

#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/devices/virtio/net/net_fixture.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::no_offloads;
using test::pattern;

std::string with_length(const std::string& frame) {
    const std::size_t size = frame.size();
    return std::string{static_cast<char>(size >> 24), static_cast<char>(size >> 16),
                       static_cast<char>(size >> 8), static_cast<char>(size)} +
           frame;
}

class StreamPortTest : public testing::Test {
  protected:
    StreamPortTest() : room_(Port::kMinRoom, '?') {
        // The header in three parts, and the rest in two.
        std::size_t at = 0;
        for (const std::size_t size : {5U, 6U, 11U, 1000U}) {
            segments_.push_back({.iov_base = room_.data() + at, .iov_len = size});
            at += size;
        }
        segments_.push_back({.iov_base = room_.data() + at, .iov_len = room_.size() - at});
    }
    std::int64_t receive() { return port_.receive(segments_); }
    /// The frame that receive() says is there.
    void expect_frame(const std::string& frame) {
        ASSERT_EQ(receive(), static_cast<std::int64_t>(12 + frame.size()));
        EXPECT_EQ(room_.substr(0, 12 + frame.size()), no_offloads() + frame);
        EXPECT_FALSE(port_.receiving());
    }
    int send(const std::string& frame) {
        frame_ = no_offloads() + frame;
        std::vector<iovec> segments = frame_segments();
        return port_.send(segments);
    }
    std::vector<iovec> frame_segments() {
        return {{.iov_base = frame_.data(), .iov_len = 7},
                {.iov_base = frame_.data() + 7, .iov_len = frame_.size() - 7}};
    }
    /// Everything that is sent until nothing more comes.
    std::string drain() {
        std::string all;
        while (const auto part = pair_.get()) {
            if (part->empty()) {
                break;
            }
            all += *part;
        }
        return all;
    }

    test::FramePair pair_{SOCK_STREAM};
    StreamPort port_{std::exchange(pair_.device, io::Fd())};
    std::string room_;
    std::vector<iovec> segments_;
    std::string frame_;
};

TEST_F(StreamPortTest, TakesFramesApart) {
    EXPECT_EQ(receive(), -EAGAIN);
    pair_.put(with_length(pattern(60)) + with_length(pattern(1500, 2)) +
              with_length(pattern(65535, 3)));
    expect_frame(pattern(60));
    expect_frame(pattern(1500, 2));
    expect_frame(pattern(65535, 3));
    EXPECT_EQ(receive(), -EAGAIN);
}

TEST_F(StreamPortTest, FramesMayComeByteByByte) {
    const std::string bytes = with_length(pattern(60)) + with_length(pattern(70, 2));
    std::vector<std::int64_t> frames;
    for (const char byte : bytes) {
        pair_.put(std::string(1, byte));
        const std::int64_t result = receive();
        if (result != -EAGAIN) {
            frames.push_back(result);
        }
    }
    EXPECT_EQ(frames, (std::vector<std::int64_t>{72, 82}));
    EXPECT_EQ(room_.substr(0, 82), no_offloads() + pattern(70, 2));
}

TEST_F(StreamPortTest, SaysThatAFrameIsThereInPart) {
    pair_.put(with_length(pattern(100)).substr(0, 4));
    EXPECT_EQ(receive(), -EAGAIN);
    EXPECT_FALSE(port_.receiving()) << "nothing lies in the room";
    pair_.put(pattern(100).substr(0, 1));
    EXPECT_EQ(receive(), -EAGAIN);
    EXPECT_TRUE(port_.receiving());
}

TEST_F(StreamPortTest, AFrameThatIsGivenUpIsSkipped) {
    const std::string bytes = with_length(pattern(9000));
    pair_.put(bytes.substr(0, 3000));
    EXPECT_EQ(receive(), -EAGAIN);
    port_.abandon_receive();
    EXPECT_FALSE(port_.receiving());
    EXPECT_EQ(receive(), -EAGAIN);
    pair_.put(bytes.substr(3000) + with_length(pattern(60, 5)));
    expect_frame(pattern(60, 5));
}

TEST_F(StreamPortTest, WhatIsTooShortForAFrameIsSkipped) {
    pair_.put(with_length("") + with_length(pattern(13)) + with_length(pattern(14, 4)));
    expect_frame(pattern(14, 4));
}

TEST_F(StreamPortTest, AFloodOfWhatIsTooShortIsLeftForLater) {
    pair_.put(std::string(4000, '\0') + with_length(pattern(60)));
    EXPECT_EQ(receive(), -EAGAIN);
    int left = 0;
    ASSERT_EQ(::ioctl(port_.fd(), FIONREAD, &left), 0);
    EXPECT_GT(left, 64);
    int calls = 1;
    while (receive() == -EAGAIN && calls < 100) {
        ++calls;
    }
    EXPECT_LT(calls, 100) << "the frame behind it comes";
}

TEST_F(StreamPortTest, ALengthThatCannotBeIsTheEnd) {
    pair_.put(std::string("\0\1\0\0", 4) + pattern(100));
    EXPECT_EQ(receive(), -EPROTO);
    EXPECT_EQ(receive(), -EPROTO);
}

TEST_F(StreamPortTest, TellsTheEndFromAnEndInTheMiddle) {
    pair_.put(with_length(pattern(60)));
    pair_.network.reset();
    expect_frame(pattern(60));
    EXPECT_EQ(receive(), 0);
}

TEST_F(StreamPortTest, AnEndInTheMiddleOfAFrameIsAnError) {
    pair_.put(with_length(pattern(60)).substr(0, 50));
    EXPECT_EQ(receive(), -EAGAIN);
    pair_.network.reset();
    EXPECT_EQ(receive(), -ECONNRESET);
}

TEST_F(StreamPortTest, SendsALengthAndTheFrameWithoutItsHeader) {
    EXPECT_EQ(send(pattern(60)), 0);
    EXPECT_EQ(send(pattern(14, 2)), 0);
    EXPECT_EQ(drain(), with_length(pattern(60)) + with_length(pattern(14, 2)));
}

TEST_F(StreamPortTest, AFrameThatIsTooLongIsLost) {
    EXPECT_EQ(send(pattern(65536)), 0);
    EXPECT_EQ(send(pattern(65535)), 0);
    EXPECT_EQ(drain(), with_length(pattern(65535)));
}

TEST_F(StreamPortTest, WhatTheSocketDoesNotTakeAtOnceIsSentLater) {
    std::string expected;
    std::string got;
    for (unsigned n = 0; n < 40; ++n) {
        const std::string frame = pattern(60000 + n, n);
        expected += with_length(frame);
        int result = send(frame);
        while (result == EAGAIN) {
            // A little at a time, so that frames are cut anywhere.
            std::string part(777, '?');
            const ssize_t count = ::recv(pair_.network.get(), part.data(), part.size(), 0);
            ASSERT_GT(count, 0);
            got += part.substr(0, static_cast<std::size_t>(count));
            std::vector<iovec> segments = frame_segments();
            result = port_.send(segments);
        }
        ASSERT_EQ(result, 0);
    }
    got += drain();
    EXPECT_EQ(got, expected);
}

TEST_F(StreamPortTest, AFrameThatIsGivenUpIsSentToItsEndFromACopy) {
    std::string expected;
    unsigned n = 0;
    int result = 0;
    while (result == 0) {
        const std::string frame = pattern(50000, n++);
        expected += with_length(frame);
        result = send(frame);
    }
    ASSERT_EQ(result, EAGAIN);
    std::vector<iovec> segments = frame_segments();
    port_.abandon_send(segments);
    std::fill(frame_.begin(), frame_.end(), 'x');
    std::string got = drain();
    const bool cut = got.size() > expected.size() - 50004 && got.size() < expected.size();
    EXPECT_EQ(send(pattern(60)), 0);
    got += drain();
    if (!cut) {  // it had not begun: then nothing of it is sent
        expected.resize(expected.size() - 50004);
    }
    EXPECT_EQ(got, expected + with_length(pattern(60)));
}

TEST_F(StreamPortTest, SendingToNobodyIsTheEnd) {
    pair_.network.reset();
    EXPECT_EQ(send(pattern(60)), EPIPE);
}

}  // namespace
}  // namespace cxlvm::virtio::net
