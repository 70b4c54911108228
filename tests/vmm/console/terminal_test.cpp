// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/terminal.hpp"

#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <optional>
#include <set>

#include "io/error.hpp"
#include "tests/vmm/console/console_support.hpp"

namespace cxlvm {
namespace {

using test::Pipe;
using test::Terminal;
using test::wait_until;

TEST(RawTerminal, SaysItsSize) {
    const Terminal terminal;
    const RawTerminal raw(terminal.screen.get());
    for (const std::uint16_t columns : {std::uint16_t{80}, std::uint16_t{132}}) {
        const winsize size{.ws_row = 25, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
        ASSERT_EQ(::ioctl(terminal.user.get(), TIOCSWINSZ, &size), 0);
        ASSERT_TRUE(raw.size().has_value());
        EXPECT_EQ(raw.size()->columns, columns);
        EXPECT_EQ(raw.size()->rows, 25);
    }
}

TEST(RawTerminal, IsRawUntilRestored) {
    const Terminal terminal;
    termios before{};
    ASSERT_EQ(::tcgetattr(terminal.screen.get(), &before), 0);
    {
        RawTerminal raw(terminal.screen.get());
        EXPECT_FALSE(terminal.is_raw());
        ASSERT_TRUE(raw.enter());
        EXPECT_TRUE(terminal.is_raw());
        raw.restore();
        EXPECT_FALSE(terminal.is_raw());
        ASSERT_TRUE(raw.enter());
    }
    termios after{};
    ASSERT_EQ(::tcgetattr(terminal.screen.get(), &after), 0);
    EXPECT_EQ(after.c_lflag, before.c_lflag);
    EXPECT_EQ(after.c_iflag, before.c_iflag);
    EXPECT_EQ(after.c_oflag, before.c_oflag);
}

TEST(RawTerminal, LeavesATerminalAloneThatItNeverMadeRaw) {
    const Terminal terminal;
    {
        const RawTerminal raw(terminal.screen.get());
        termios changed{};
        ASSERT_EQ(::tcgetattr(terminal.screen.get(), &changed), 0);
        changed.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
        ASSERT_EQ(::tcsetattr(terminal.screen.get(), TCSANOW, &changed), 0);
    }
    EXPECT_TRUE(terminal.is_raw());
}

TEST(RawTerminal, RefusesWhatIsNoTerminal) {
    const Pipe pipe;
    EXPECT_THROW(RawTerminal(pipe.reader.get()), io::Error);
}

TEST(RawTerminal, IsNotInTheBackgroundOfATerminalThatControlsNothing) {
    const Terminal terminal;
    EXPECT_FALSE(RawTerminal(terminal.screen.get()).in_background());
}

/// Forks a process that guards `terminal`, makes it raw, and then does `then`.
template <typename Then>
pid_t fork_user_of(const Terminal& terminal, Then then) {
    const Pipe ready;
    const pid_t child = ::fork();
    if (child == 0) {
        {
            const TerminalGuardian guardian(terminal.screen.get());
            RawTerminal raw(terminal.screen.get());
            if (!raw.enter() || ::write(ready.writer.get(), "r", 1) != 1) {
                ::_exit(1);
            }
            then();
        }
        ::_exit(0);
    }
    EXPECT_EQ(test::read_exactly(ready.reader.get(), 1), "r");
    return child;
}

TEST(TerminalGuardian, RestoresTheTerminalOfAProcessThatIsKilled) {
    const Terminal terminal;
    const pid_t child = fork_user_of(terminal, [] { ::pause(); });
    EXPECT_TRUE(terminal.is_raw());
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    wait_until([&] { return !terminal.is_raw(); });
}

TEST(TerminalGuardian, RestoresTheTerminalOfAProcessThatAborts) {
    const Terminal terminal;
    const pid_t child = fork_user_of(terminal, [] {
        ::signal(SIGABRT, SIG_DFL);
        ::raise(SIGABRT);
    });
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    wait_until([&] { return !terminal.is_raw(); });
}

TEST(TerminalGuardian, SurvivesTheSignalsThatAreSentToItsParentsGroup) {
    const Terminal terminal;
    const pid_t child = fork_user_of(terminal, [] {
        ::setpgid(0, 0);
        ::pause();
    });
    wait_until([&] { return ::getpgid(child) == child; });
    ASSERT_EQ(::kill(-child, SIGKILL), 0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    wait_until([&] { return !terminal.is_raw(); });
}

TEST(TerminalGuardian, IsGoneWhenItIsDismissedAndTouchesNothing) {
    const Terminal terminal;
    pid_t guardian_pid = -1;
    {
        const TerminalGuardian guardian(terminal.screen.get());
        guardian_pid = guardian.pid();
        ASSERT_GT(guardian_pid, 0);
        termios changed{};
        ASSERT_EQ(::tcgetattr(terminal.screen.get(), &changed), 0);
        ::cfmakeraw(&changed);
        ASSERT_EQ(::tcsetattr(terminal.screen.get(), TCSANOW, &changed), 0);
    }
    EXPECT_EQ(::kill(guardian_pid, 0), -1);
    EXPECT_EQ(errno, ESRCH);
    EXPECT_TRUE(terminal.is_raw()) << "restoring is RawTerminal's part in an orderly end";
}

TEST(TerminalGuardian, HoldsNothingButTheTerminalAndItsSocket) {
    const Terminal terminal;
    const Pipe pipe;
    const TerminalGuardian guardian(terminal.screen.get());
    const std::string folder = "/proc/" + std::to_string(guardian.pid()) + "/fd";
    std::set<std::string> names;
    wait_until([&] {
        names.clear();
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            names.insert(entry.path().filename());
        }
        return names == std::set<std::string>{"0", "1"};
    });
}

TEST(TerminalGuardian, DoesNothingWithoutATerminal) {
    const Pipe pipe;
    const TerminalGuardian guardian(pipe.reader.get());
    EXPECT_EQ(guardian.pid(), -1);
}

TEST(TerminalGuardian, MayBeKilledWithoutHarmToItsParent) {
    const Terminal terminal;
    const TerminalGuardian guardian(terminal.screen.get());
    ASSERT_EQ(::kill(guardian.pid(), SIGKILL), 0);
}  // its destructor raises no SIGPIPE

}  // namespace
}  // namespace cxlvm
