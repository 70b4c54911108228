// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/greeting.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace cxlvm::virtio::vsock {
namespace {

/// What becomes of `text`, read in pieces of at most `piece` bytes; `used` is how much was read.
Greeting::Result take(Greeting& greeting, const std::string& text, std::size_t piece,
                      std::size_t& used) {
    used = 0;
    while (used < text.size()) {
        const std::span<char> room = greeting.room();
        const std::size_t count = std::min({room.size(), piece, text.size() - used});
        std::copy_n(text.data() + used, count, room.data());
        used += count;
        if (const auto result = greeting.take(count); result != Greeting::Result::More) {
            return result;
        }
    }
    return Greeting::Result::More;
}

TEST(GreetingTest, NamesAPortAndTakesNothingOfTheStream) {
    for (const std::string port : {"0", "7", "1024", "4294967294"}) {
        for (const std::size_t piece : {1U, 2U, 100U}) {
            const std::string line = "CONNECT " + port + "\n";
            Greeting greeting;
            std::size_t used = 0;
            EXPECT_EQ(take(greeting, line + "stream", piece, used), Greeting::Result::Good);
            EXPECT_EQ(std::to_string(greeting.port()), port);
            EXPECT_EQ(used, line.size());
        }
    }
}

TEST(GreetingTest, AnythingElseIsRefused) {
    for (const std::string line :
         {"\n\n\n\n\n\n\n\n\n\n", "CONNECT \n\n", "CONNECT x\n", "CONNECT 1x\n", "CONNECT -1\n",
          "CONNECT +1\n", "CONNECT  1\n", "CONNECT 1 \n", "CONNECT 1\r\n", "connect 1\n",
          "CONNECT 4294967295\n", "CONNECT 4294967296\n", "CONNECT 99999999999999999999\n",
          "GET / HTTP/1.1\r\n\r\n", "CONNECTED 1\n", "CONNECT 12345678901"}) {
        Greeting greeting;
        std::size_t used = 0;
        EXPECT_EQ(take(greeting, line, 100, used), Greeting::Result::Bad) << line;
    }
}

TEST(GreetingTest, WhatMayBecomeALineIsWaitedFor) {
    Greeting greeting;
    std::size_t used = 0;
    EXPECT_EQ(take(greeting, "CONNECT 429496729", 3, used), Greeting::Result::More);
}

TEST(GreetingTest, TheAnswerNamesAPort) {
    std::array<char, kAnswerSize> room{};
    const auto answer = [&room](std::uint32_t port) {
        const std::span<char> text = write_answer(port, room);
        return std::string(text.data(), text.size());
    };
    EXPECT_EQ(answer(0), "OK 0\n");
    EXPECT_EQ(answer(4294967295), "OK 4294967295\n");
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
