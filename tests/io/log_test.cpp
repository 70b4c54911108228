// SPDX-License-Identifier: Apache-2.0
#include "io/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "io/fd.hpp"

namespace cxlvm::io {
namespace {

class LogTest : public testing::Test {
  protected:
    LogTest() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        reader_.reset(ends[0]);
        writer_.reset(ends[1]);
    }

    /// What has been written so far.
    std::string text() {
        std::string result;
        ::fcntl(reader_.get(), F_SETFL, O_NONBLOCK);
        char buffer[4096];
        for (ssize_t size = 0; (size = ::read(reader_.get(), buffer, sizeof buffer)) > 0;) {
            result.append(buffer, static_cast<std::size_t>(size));
        }
        return result;
    }

    Fd reader_;
    Fd writer_;
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
    Log log(writer_.get(), LogLevel::Debug);
    log.error("disk {} is gone", 3);
    log.warn("careful");
    log.info("hello");
    log.debug("{}+{}", 1, 2);
    EXPECT_EQ(text(),
              "cxlvm: error: disk 3 is gone\ncxlvm: warn: careful\ncxlvm: info: hello\n"
              "cxlvm: debug: 1+2\n");
}

TEST_F(LogTest, KeepsMessagesAboveItsLevelBack) {
    Log log(writer_.get());
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
    Log log(writer_.get());
    log.set_raw_terminal(true);
    log.warn("x");
    EXPECT_EQ(text(), "cxlvm: warn: x\r\n");
}

TEST_F(LogTest, CutsLongTextButKeepsTheEndOfTheLine) {
    Log log(writer_.get());
    log.warn("{}", std::string(5000, 'a'));
    const std::string line = text();
    EXPECT_LE(line.size(), 1024U);
    EXPECT_EQ(line.back(), '\n');
    EXPECT_EQ(line.substr(0, 14), "cxlvm: warn: a");
}

TEST_F(LogTest, DropsAndCountsLinesThatABlockedPipeCannotTake) {
    ::fcntl(writer_.get(), F_SETPIPE_SZ, 4096);
    Log log(writer_.get());
    const std::string filler(900, 'x');
    for (int i = 0; i < 100; ++i) {
        log.warn("{}", filler);
    }
    EXPECT_GT(log.dropped(), 90U);
    EXPECT_LT(log.dropped(), 100U);
}

TEST_F(LogTest, SurvivesAReaderThatHasGone) {
    reader_.reset();
    Log log(writer_.get());
    log.warn("nobody listens");  // must not raise SIGPIPE
    EXPECT_EQ(log.dropped(), 1U);
}

TEST_F(LogTest, LinesOfSeveralThreadsDoNotMix) {
    Log log(writer_.get());
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
    Log log(writer_.get());
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
    Log log(writer_.get());
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
    Log log(writer_.get(), LogLevel::Error);
    RateLimit limit(1, std::chrono::seconds(3600));
    log.guest(limit, "hidden");
    log.set_level(LogLevel::Warn);
    log.guest(limit, "seen");
    EXPECT_EQ(text(), "cxlvm: warn: seen\n");
}

/// A terminal that nobody reads.
class SilentTerminal {
  public:
    SilentTerminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
        EXPECT_EQ(::grantpt(master_.get()), 0);
        EXPECT_EQ(::unlockpt(master_.get()), 0);
        char name[64] = {};
        EXPECT_EQ(::ptsname_r(master_.get(), name, sizeof name), 0);
        slave_.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
        EXPECT_TRUE(slave_);
    }
    [[nodiscard]] int fd() const { return slave_.get(); }
    void read_some() const {
        char buffer[4096];
        static_cast<void>(::read(master_.get(), buffer, sizeof buffer));
    }

  private:
    Fd master_;
    Fd slave_;
};

TEST(LogTerminal, DropsAndCountsLinesThatATerminalCannotTakeWhole) {
    const SilentTerminal terminal;
    Log log(terminal.fd());
    // Far more than a terminal holds. The line on which it fills up must not wait for the reader.
    std::future<void> logged = std::async(std::launch::async, [&log] {
        for (int i = 0; i < 2000; ++i) {
            log.warn("{}", std::string(83, 'x'));
        }
    });
    const bool waited = logged.wait_for(std::chrono::seconds(20)) != std::future_status::ready;
    while (logged.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
        terminal.read_some();
    }
    EXPECT_FALSE(waited) << "a thread that logged had to wait for the terminal's reader";
    EXPECT_GT(log.dropped(), 0U);
}

TEST(LogTerminal, LeavesTheModeOfItsDescriptorAlone) {
    const SilentTerminal terminal;
    const Log log(terminal.fd());
    EXPECT_EQ(::fcntl(terminal.fd(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace cxlvm::io
