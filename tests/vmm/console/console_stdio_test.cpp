// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "tests/vmm/console/console_support.hpp"
#include "vmm/console/console.hpp"

namespace cxlvm {
namespace {

using namespace std::chrono_literals;
using test::bytes;
using test::pattern;
using test::Pipe;
using test::put;
using test::read_exactly;
using test::ReplacedStdio;
using test::RunningConsole;
using test::Terminal;
using test::wait_until;

SerialConfig stdio_config() {
    return {};
}

TEST(ConsoleStdio, CarriesBytesBothWaysThroughPipes) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    put(in.writer.get(), "ls\n\x01x");
    wait_until([&] { return console.device.input() == "ls\n\x01x"; });
    EXPECT_EQ(console.quits, 0) << "escapes are for terminals";
    console.write_all("hello");
    EXPECT_EQ(read_exactly(out.reader.get(), 5), "hello");
    console.finish();
}

TEST(ConsoleStdio, DoesNotChangeTheModeOfInheritedDescriptors) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    put(in.writer.get(), "x");
    wait_until([&] { return console.device.input() == "x"; });
    EXPECT_EQ(::fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::fcntl(1, F_GETFL) & O_NONBLOCK, 0);
    console.finish();
    EXPECT_EQ(::fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(::fcntl(1, F_GETFL) & O_NONBLOCK, 0);
}

TEST(ConsoleStdio, TheEndOfTheInputEndsTheInputOnly) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    put(in.writer.get(), "last");
    in.writer.reset();
    wait_until([&] { return console.device.input() == "last"; });
    std::this_thread::sleep_for(5ms);
    console.write_all("still here");
    EXPECT_EQ(read_exactly(out.reader.get(), 10), "still here");
    console.finish();
}

TEST(ConsoleStdio, ReadsFilesAndWritesFiles) {
    const std::string text = pattern(300'000);
    const io::Fd in = io::open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    const io::Fd out = io::open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    put(in.get(), text);
    ASSERT_EQ(::lseek(in.get(), 0, SEEK_SET), 0);
    const ReplacedStdio stdio(in.get(), out.get());
    RunningConsole console(stdio_config());
    wait_until([&] { return console.device.input().size() == text.size(); });
    EXPECT_EQ(console.device.input(), text);
    console.write_all(text);
    console.finish();
    ASSERT_EQ(::lseek(out.get(), 0, SEEK_SET), 0);
    EXPECT_EQ(test::read_to_end(out.get()), text);
}

TEST(ConsoleStdio, InputWaitsForTheDeviceAndNothingOfItIsLost) {
    const std::string text = pattern(200'000);
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    console.device.set_room(10);
    std::thread sender([&] { put(in.writer.get(), text); });
    wait_until([&] { return console.device.input().size() == 10; });
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(console.device.input().size(), 10U);
    for (std::size_t taken = 10; taken < text.size();) {
        console.device.set_room(1000);
        console->input_ready();
        taken = std::min(taken + 1000, text.size());
        wait_until([&] { return console.device.input().size() == taken; });
    }
    EXPECT_EQ(console.device.input(), text);
    sender.join();
    console.finish();
}

TEST(ConsoleStdio, ASlowReaderHoldsTheWriterUpWithoutBlockingIt) {
    const std::string text = pattern(4 << 20);
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    std::size_t taken = 0;
    while (const std::size_t count = console->write(bytes(text).subspan(taken))) {
        taken += count;
        ASSERT_LT(taken, text.size());
    }
    EXPECT_GE(taken, ConsoleOutput::kCapacity);
    std::string seen = read_exactly(out.reader.get(), 100'000);
    wait_until([&] { return console.device.ready_calls > 0; });
    std::thread vcpu([&] { console.write_all(std::string_view(text).substr(taken)); });
    while (seen.size() < text.size()) {
        std::this_thread::sleep_for(1ms);
        seen +=
            read_exactly(out.reader.get(), std::min<std::size_t>(65536, text.size() - seen.size()));
    }
    vcpu.join();
    EXPECT_EQ(seen, text);
    EXPECT_EQ(console->lost(), 0U);
    console.finish();
}

TEST(ConsoleStdio, FinishWaitsForTheLastByte) {
    const std::string text = pattern(900'000);
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    console.write_all(text);
    console.begin_finish();
    std::this_thread::sleep_for(10ms);
    EXPECT_FALSE(console.finished);
    EXPECT_EQ(read_exactly(out.reader.get(), text.size()), text);
    console.wait_finished();
    EXPECT_EQ(console->lost(), 0U);
}

TEST(ConsoleStdio, AbandonEndsAFinishThatNobodyReads) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    console.write_all(pattern(900'000));
    console.begin_finish();
    std::this_thread::sleep_for(5ms);
    console.abandon();
    console.wait_finished();
    EXPECT_GT(console->lost(), 800'000U);
    EXPECT_LT(console->lost(), 900'000U) << "the pipe took some";
}

TEST(ConsoleStdio, AReaderThatHasGoneCostsItsOutputOnly) {
    ASSERT_NE(::signal(SIGPIPE, SIG_DFL), SIG_ERR);
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    out.reader.reset();
    console.write_all(pattern(3 << 20));
    wait_until([&] { return console->lost() == std::size_t{3} << 20; });
    put(in.writer.get(), "on");
    wait_until([&] { return console.device.input() == "on"; });
    console.finish();
}

TEST(ConsoleStdio, TheLoopsStopCountsWhatIsUnwrittenAsLost) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    console.write_all(pattern(900'000));
    std::this_thread::sleep_for(5ms);
    console.stop();
    int queued = 0;
    ASSERT_EQ(::ioctl(out.reader.get(), FIONREAD, &queued), 0);
    EXPECT_EQ(console->lost() + static_cast<std::size_t>(queued), 900'000U);
    console.destroy();
}

TEST(ConsoleStdio, WritersOfSeveralThreadsLoseNothing) {
    Pipe in;
    Pipe out;
    const ReplacedStdio stdio(in.reader.get(), out.writer.get());
    RunningConsole console(stdio_config());
    std::vector<std::thread> vcpus;
    vcpus.reserve(4);
    for (char name = 'a'; name < 'e'; ++name) {
        vcpus.emplace_back([&console, name] {
            for (int i = 0; i < 500; ++i) {
                console.write_all(std::string(100, name));
            }
        });
    }
    const std::string seen = read_exactly(out.reader.get(), std::size_t{4} * 500 * 100);
    for (std::thread& vcpu : vcpus) {
        vcpu.join();
    }
    for (char name = 'a'; name < 'e'; ++name) {
        EXPECT_EQ(std::ranges::count(seen, name), 50'000);
    }
    console.finish();
}

TEST(ConsoleTerminal, IsRawWhileTheGuestRunsAndRestoredAfterwards) {
    const Terminal terminal;
    const ReplacedStdio stdio(terminal.screen.get(), terminal.screen.get());
    RunningConsole console(stdio_config());
    EXPECT_TRUE(terminal.is_raw());
    put(terminal.user.get(), "\x03\x1a");
    wait_until([&] { return console.device.input() == "\x03\x1a"; });
    console.write_all("a\nb\r\n");
    EXPECT_EQ(read_exactly(terminal.user.get(), 5), "a\nb\r\n");
    console.finish();
    EXPECT_FALSE(terminal.is_raw());
}

TEST(ConsoleTerminal, IsRestoredWithoutFinishToo) {
    const Terminal terminal;
    const ReplacedStdio stdio(terminal.screen.get(), terminal.screen.get());
    {
        RunningConsole console(stdio_config());
        EXPECT_TRUE(terminal.is_raw());
    }
    EXPECT_FALSE(terminal.is_raw());
}

TEST(ConsoleTerminal, EscapesQuitAndHelpAndSendControlA) {
    const Terminal terminal;
    const ReplacedStdio stdio(terminal.screen.get(), terminal.screen.get());
    RunningConsole console(stdio_config());
    put(terminal.user.get(), "a\x01\x01");
    wait_until([&] { return console.device.input() == "a\x01"; });
    put(terminal.user.get(), "\x01h");
    EXPECT_EQ(read_exactly(terminal.user.get(), EscapeFilter::kHelp.size()), EscapeFilter::kHelp);
    put(terminal.user.get(), "\x01");
    put(terminal.user.get(), "x");
    wait_until([&] { return console.quits == 1; });
    EXPECT_EQ(console.device.input(), "a\x01");
    console.finish();
}

TEST(ConsoleTerminal, AGuestThatDoesNotListenCannotHideTheEscape) {
    const Terminal terminal;
    const ReplacedStdio stdio(terminal.screen.get(), terminal.screen.get());
    RunningConsole console(stdio_config());
    console.device.set_room(0);
    for (int i = 0; i < 100; ++i) {
        put(terminal.user.get(), pattern(1000));
    }
    put(terminal.user.get(), "\x01x");
    wait_until([&] { return console.quits == 1; });
    console.device.set_room(SIZE_MAX);
    console->input_ready();
    wait_until([&] { return console.device.input().size() == 100'000; });
    console.finish();
}

}  // namespace
}  // namespace cxlvm
