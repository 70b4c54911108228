// SPDX-License-Identifier: Apache-2.0
#include "io/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/pipe.hpp"
#include "tests/support/terminal.hpp"

namespace cxlvm::io {
namespace {

class LogTest : public testing::Test {
  protected:
    /// What has been written so far.
    std::string text() {
        std::string result;
        ::fcntl(pipe_.reader.get(), F_SETFL, O_NONBLOCK);
        char buffer[4096];
        for (ssize_t size = 0; (size = ::read(pipe_.reader.get(), buffer, sizeof buffer)) > 0;) {
            result.append(buffer, static_cast<std::size_t>(size));
        }
        return result;
    }

    test::Pipe pipe_;
};

TEST(LogLevel, EveryNameParsesBack) {
    for (const LogLevel level : {LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info,
                                 LogLevel::Debug, LogLevel::Trace}) {
        EXPECT_EQ(parse_log_level(to_string(level)), level);
    }
    EXPECT_EQ(parse_log_level("loud"), std::nullopt);
    EXPECT_EQ(parse_log_level(""), std::nullopt);
}

TEST_F(LogTest, WritesOneLinePerMessageWithItsLevel) {
    Log log(pipe_.writer.get(), LogLevel::Debug);
    log.error("disk {} is gone", 3);
    log.warn("careful");
    log.info("hello");
    log.debug("{}+{}", 1, 2);
    EXPECT_EQ(text(),
              "cxlvm: error: disk 3 is gone\ncxlvm: warn: careful\ncxlvm: info: hello\n"
              "cxlvm: debug: 1+2\n");
}

TEST_F(LogTest, KeepsMessagesAboveItsLevelBack) {
    Log log(pipe_.writer.get());
    log.info("not wanted");
    EXPECT_EQ(text(), "");
    log.set_level(LogLevel::Info);
    log.info("wanted");
    EXPECT_EQ(text(), "cxlvm: info: wanted\n");
    log.set_level(LogLevel::Off);
    log.error("not even this");
    EXPECT_EQ(text(), "");
}

TEST_F(LogTest, EndsLinesForARawTerminalWithCrLf) {
    Log log(pipe_.writer.get());
    log.set_raw_terminal(true);
    log.warn("x");
    EXPECT_EQ(text(), "cxlvm: warn: x\r\n");
}

TEST_F(LogTest, CutsLongTextButKeepsTheEndOfTheLine) {
    Log log(pipe_.writer.get());
    log.warn("{}", std::string(5000, 'a'));
    const std::string line = text();
    EXPECT_LE(line.size(), 1024U);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_EQ(line.substr(0, 14), "cxlvm: warn: a");
}

TEST_F(LogTest, DropsAndCountsLinesThatABlockedPipeCannotTake) {
    ::fcntl(pipe_.writer.get(), F_SETPIPE_SZ, 4096);
    Log log(pipe_.writer.get());
    const std::string filler(900, 'x');
    for (int i = 0; i < 100; ++i) {
        log.warn("{}", filler);
    }
    EXPECT_GT(log.dropped(), 90U);
    EXPECT_LT(log.dropped(), 100U);
}

TEST_F(LogTest, SurvivesAReaderThatHasGone) {
    pipe_.reader.reset();
    Log log(pipe_.writer.get());
    log.warn("nobody listens");  // must not raise SIGPIPE
    EXPECT_EQ(log.dropped(), 1U);
}

TEST_F(LogTest, LinesOfSeveralThreadsDoNotMix) {
    Log log(pipe_.writer.get());
    std::vector<std::thread> threads;
    threads.reserve(8);
    for (char name = 'a'; name < 'e'; ++name) {
        threads.emplace_back([&log, name] {
            for (int i = 0; i < 50; ++i) {
                log.warn("{}", std::string(40, name));
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    const std::string all = text();
    std::size_t lines = 0;
    for (std::size_t start = 0; start < all.size(); ++lines) {
        const std::size_t end = all.find('\n', start);
        ASSERT_NE(end, std::string::npos);
        const std::string line = all.substr(start, end - start);
        ASSERT_EQ(line.size(), 13U + 40U);
        EXPECT_EQ(line, "cxlvm: warn: " + std::string(40, line.back()));
        start = end + 1;
    }
    EXPECT_EQ(lines + log.dropped(), 200U);
}

TEST_F(LogTest, GuestMessagesAreLimitedAndTheRestIsCounted) {
    Log log(pipe_.writer.get());
    RateLimit limit(2, std::chrono::seconds(3600));
    for (int i = 0; i < 10; ++i) {
        log.guest(limit, "write to a read-only register {}", i);
    }
    EXPECT_EQ(text(),
              "cxlvm: warn: write to a read-only register 0\n"
              "cxlvm: warn: write to a read-only register 1\n");
    EXPECT_EQ(limit.take_suppressed(), 8U);
    EXPECT_EQ(limit.take_suppressed(), 0U);
}

TEST_F(LogTest, SaysHowManyWereSuppressedOnceMessagesAreAllowedAgain) {
    Log log(pipe_.writer.get());
    RateLimit limit(1, std::chrono::seconds(0));
    log.guest(limit, "first");
    EXPECT_EQ(text(), "cxlvm: warn: first\n");
    RateLimit brief(1, std::chrono::seconds(1));
    log.guest(brief, "a");
    log.guest(brief, "b");
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    log.guest(brief, "c");
    EXPECT_EQ(text(),
              "cxlvm: warn: a\ncxlvm: warn: c\n"
              "cxlvm: warn: 1 messages like the last one were suppressed\n");
}

TEST_F(LogTest, MessagesThatAreNotWantedDoNotUseUpTheLimit) {
    Log log(pipe_.writer.get(), LogLevel::Error);
    RateLimit limit(1, std::chrono::seconds(3600));
    log.guest(limit, "hidden");
    log.set_level(LogLevel::Warn);
    log.guest(limit, "seen");
    EXPECT_EQ(text(), "cxlvm: warn: seen\n");
}

TEST(LogTerminal, DropsAndCountsLinesThatATerminalCannotTakeWhole) {
    const test::Terminal terminal;  // which nobody reads
    Log log(terminal.screen.get());
    // Far more than a terminal holds. The line on which it fills up must not wait for the reader.
    std::future<void> logged = std::async(std::launch::async, [&log] {
        for (int i = 0; i < 2000; ++i) {
            log.warn("{}", std::string(83, 'x'));
        }
    });
    const bool waited = logged.wait_for(std::chrono::seconds(20)) != std::future_status::ready;
    ::fcntl(terminal.user.get(), F_SETFL, O_NONBLOCK);
    std::array<char, 4096> buffer;
    while (logged.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
        static_cast<void>(::read(terminal.user.get(), buffer.data(), buffer.size()));
    }
    EXPECT_FALSE(waited) << "a thread that logged had to wait for the terminal's reader";
    EXPECT_GT(log.dropped(), 0U);
}

TEST(LogTerminal, LeavesTheModeOfItsDescriptorAlone) {
    const test::Terminal terminal;
    const Log log(terminal.screen.get());
    EXPECT_EQ(::fcntl(terminal.screen.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace cxlvm::io
