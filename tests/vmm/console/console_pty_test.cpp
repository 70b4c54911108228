// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include "tests/vmm/console/console_support.hpp"
#include "vmm/console/console.hpp"

namespace cxlvm {
namespace {

using namespace std::chrono_literals;
using test::pattern;
using test::put;
using test::read_exactly;
using test::RunningConsole;
using test::wait_until;

SerialConfig pty_config() {
    return {.kind = SerialConfig::Kind::Pty, .path = {}};
}

io::Fd open_slave(RunningConsole& console) {
    return io::open_file(console->path(), O_RDWR | O_NOCTTY);
}

TEST(ConsolePty, CarriesBytesBothWaysWithoutEcho) {
    RunningConsole console(pty_config());
    const io::Fd user = open_slave(console);
    put(user.get(), "ls\r");
    wait_until([&] { return console.device.input() == "ls\r"; });
    console.write_all("a\nb");
    EXPECT_EQ(read_exactly(user.get(), 3), "a\nb");
    EXPECT_EQ(console.device.input(), "ls\r");
    console.finish();
}

TEST(ConsolePty, EscapesAreBytesForTheGuest) {
    RunningConsole console(pty_config());
    const io::Fd user = open_slave(console);
    put(user.get(), "\x01x");
    wait_until([&] { return console.device.input() == "\x01x"; });
    EXPECT_EQ(console.quits, 0);
    console.finish();
}

TEST(ConsolePty, ShowsALateUserTheLatest64KiB) {
    const std::string text = pattern(3 << 20);
    RunningConsole console(pty_config());
    console.write_all(text);
    wait_until([&] { return console->lost() == text.size() - ConsoleOutput::kReplay; });
    const io::Fd user = open_slave(console);
    EXPECT_EQ(read_exactly(user.get(), ConsoleOutput::kReplay),
              text.substr(text.size() - ConsoleOutput::kReplay));
    console.write_all("live");
    EXPECT_EQ(read_exactly(user.get(), 4), "live");
    console.finish();
}

TEST(ConsolePty, ServesOneUserAfterAnother) {
    RunningConsole console(pty_config());
    for (int i = 0; i < 5; ++i) {
        const io::Fd user = open_slave(console);
        const std::string text = "round " + std::to_string(i);
        console.write_all(text);
        EXPECT_EQ(read_exactly(user.get(), text.size()), text);
        put(user.get(), "x");
        wait_until(
            [&] { return console.device.input().size() == static_cast<std::size_t>(i + 1); });
    }
    console.finish();
}

TEST(ConsolePty, FinishWaitsUntilTheUserHasReadTheLastByte) {
    const std::string text = pattern(200'000);
    RunningConsole console(pty_config());
    const io::Fd user = open_slave(console);
    put(user.get(), "x");
    wait_until([&] { return console.device.input() == "x"; });
    console.write_all(text);
    console.begin_finish();
    EXPECT_EQ(read_exactly(user.get(), text.size() - 10), text.substr(0, text.size() - 10));
    std::this_thread::sleep_for(30ms);
    EXPECT_FALSE(console.finished);
    EXPECT_EQ(read_exactly(user.get(), 10), text.substr(text.size() - 10));
    console.wait_finished();
    EXPECT_EQ(console->lost(), 0U);
}

TEST(ConsolePty, FinishDoesNotWaitForAUserWhoHasGone) {
    RunningConsole console(pty_config());
    {
        const io::Fd user = open_slave(console);
        put(user.get(), "x");
        wait_until([&] { return console.device.input() == "x"; });
        console.write_all(pattern(500'000));
        console.begin_finish();
        std::this_thread::sleep_for(10ms);
        EXPECT_FALSE(console.finished);
    }
    console.wait_finished();
    EXPECT_GT(console->lost(), 400'000U);
}

TEST(ConsolePty, FinishWithoutAnyUserCountsTheOutputAsLost) {
    RunningConsole console(pty_config());
    console.write_all("nobody reads this");
    console.finish();
    EXPECT_EQ(console->lost(), 17U);
}

TEST(ConsolePty, EndsWithTheLoop) {
    RunningConsole console(pty_config());
    const io::Fd user = open_slave(console);
    console.write_all(pattern(500'000));
    std::this_thread::sleep_for(5ms);
    console.destroy();
}

}  // namespace
}  // namespace cxlvm
