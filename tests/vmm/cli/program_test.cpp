// SPDX-License-Identifier: Apache-2.0
// The program itself, as a user starts and ends it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "io/fd.hpp"
#include "tests/vmm/cli/program_runner.hpp"
#include "tests/vmm/console/console_support.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm::cli {
namespace {

using test::KvmTest;
using test::Terminal;
using test::wait_until;

/// Starts a guest that waits for ever, on a terminal of its own.
pid_t start_on(const Terminal& terminal) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setsid();
        ::ioctl(terminal.screen.get(), TIOCSCTTY, 0);
        for (const int stream : {0, 1, 2}) {
            ::dup2(terminal.screen.get(), stream);
        }
        become_cxlvm({"run", "--cmdline", "hang"});
    }
    return child;
}

class Program : public KvmTest, protected ProgramRunner {
  protected:
    test::TemporaryFolder folder_;
};

TEST_F(Program, IsEndedBySignalsThatComeWhileTheVmIsBuilt) {
    const std::string pidfile = folder_.file("pid");
    const std::string socket = "unix=" + folder_.file("socket");
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        // Pending already when the program starts.
        const Ended ended =
            wait_for(start({"run", "--cmdline", "hang", "--pidfile", pidfile.c_str(), "--serial",
                            socket.c_str(), "--memory", "64M,prefault", "--summary"},
                           [&] {
                               sigset_t set;
                               ::sigemptyset(&set);
                               ::sigaddset(&set, signal);
                               ::sigprocmask(SIG_BLOCK, &set, nullptr);
                               ::kill(::getpid(), signal);
                           }));
        EXPECT_EQ(ended.status, 0);
        const std::string name = std::string("SIG") + ::sigabbrev_np(signal);
        EXPECT_NE(ended.errors.find("cxlvm: ended by " + name + " before the guest started\n"),
                  std::string::npos)
            << ended.errors;
        EXPECT_NE(ended.errors.find("summary: ended by " + name), std::string::npos)
            << ended.errors;
        EXPECT_FALSE(std::filesystem::exists(pidfile));
        EXPECT_FALSE(std::filesystem::exists(folder_.file("socket")));
    }
}

TEST_F(Program, SaysInTheSummaryWhatEndedTheVm) {
    const auto nothing = [] {};
    EXPECT_NE(wait_for(start({"run", "--summary", "--cmdline", "exits=0"}, nothing))
                  .errors.find("summary: powered off after"),
              std::string::npos);

    pid_t child = start({"run", "--summary", "--cmdline", "hang"}, nothing);
    wait_until([&] { return guest_runs(); });
    ::kill(child, SIGINT);
    Ended ended = wait_for(child);
    EXPECT_EQ(ended.status, 0);
    EXPECT_NE(ended.errors.find("summary: ended by SIGINT after"), std::string::npos)
        << ended.errors;

    child = start({"run", "--summary", "--cmdline", "hang", "--shutdown-timeout", "1"}, nothing);
    wait_until([&] { return guest_runs(); });
    ::kill(child, SIGTERM);
    ended = wait_for(child);
    EXPECT_EQ(ended.status, 0);
    EXPECT_NE(ended.errors.find("summary: ended, not powered off within 1 s of SIGTERM after"),
              std::string::npos)
        << ended.errors;
}

/// What a shell with job control does: one job in the foreground of the terminal, each change of
/// whose state is a byte on `news`. Ends with its job.
[[noreturn]] void be_a_shell(const Terminal& terminal, int news) {
    ::setsid();
    ::ioctl(terminal.screen.get(), TIOCSCTTY, 0);
    for (const int stream : {0, 1, 2}) {
        ::dup2(terminal.screen.get(), stream);
    }
    const pid_t job = ::fork();
    if (job == 0) {
        ::setpgid(0, 0);
        ::signal(SIGTTOU, SIG_IGN);
        ::tcsetpgrp(0, ::getpid());
        ::signal(SIGTTOU, SIG_DFL);
        become_cxlvm({"run", "--cmdline", "hang"});
    }
    (void)!::write(news, &job, sizeof(job));
    for (int status = 0; ::waitpid(job, &status, WUNTRACED) == job;) {
        const char change = WIFSTOPPED(status) ? 's' : 'e';
        (void)!::write(news, &change, 1);
    }
    ::_exit(0);
}

TEST_F(Program, LeavesAnOutputFileAsItWasWhenTheKernelIsRefused) {
    const std::string console = folder_.file("console");
    std::ofstream(console) << "of the last guest";
    const std::string serial = "file=" + console;
    for (const char* const kernel : {"/etc/passwd", "/nonexistent"}) {
        const Ended ended =
            wait_for(start({"run", "--kernel", kernel, "--serial", serial.c_str()}, [] {}));
        EXPECT_TRUE(WIFEXITED(ended.status));
        EXPECT_EQ(WEXITSTATUS(ended.status), 35) << ended.errors;
        EXPECT_EQ(text_of(console), "of the last guest");
    }
    const std::string unmade = folder_.file("unmade");
    const std::string other = "file=" + unmade;
    wait_for(start({"run", "--kernel", "/nonexistent", "--serial", other.c_str()}, [] {}));
    EXPECT_FALSE(std::filesystem::exists(unmade));
}

/// A guest that has powered off, whose output nobody reads, must not keep a VM that is to end.
TEST_F(Program, EndsWhenItsOutputIsNotReadAndItIsToldToEnd) {
    for (const bool twice : {false, true}) {
        int ends[2];
        ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
        const io::Fd reader(ends[0]);
        const io::Fd writer(ends[1]);
        const int size = ::fcntl(writer.get(), F_SETPIPE_SZ, 4096);
        ASSERT_GT(size, 0);
        const std::string full(static_cast<std::size_t>(size), 'x');
        ASSERT_EQ(::write(writer.get(), full.data(), full.size()), size);
        const pid_t child =
            start({"run", "--cmdline", "exits=0", "--shutdown-timeout", twice ? "1000" : "1"},
                  [&] { ::dup2(writer.get(), 1); });
        // Time for the guest to power off. Where that is too short less is tested, nothing fails.
        ::usleep(1'000'000);
        EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0) << "it did not wait for the reader";
        for (int count = 0; count < (twice ? 2 : 1); ++count) {
            ::kill(child, SIGTERM);
            ::usleep(100'000);  // or they would be merged into one
        }
        const Ended ended = wait_for(child);
        EXPECT_EQ(ended.status, 0) << ended.errors;
    }
}

TEST_F(Program, GivesTheTerminalBackWhileItIsStopped) {
    const Terminal terminal;
    int news[2];
    ASSERT_EQ(::pipe2(news, O_CLOEXEC), 0);
    const pid_t shell = ::fork();
    if (shell == 0) {
        be_a_shell(terminal, news[1]);
    }
    ::close(news[1]);
    pid_t job = 0;
    ASSERT_EQ(::read(news[0], &job, sizeof(job)), static_cast<ssize_t>(sizeof(job)));
    wait_until([&] { return terminal.is_raw(); });
    for (int round = 0; round < 2; ++round) {
        ASSERT_EQ(::kill(job, SIGTSTP), 0);
        char change = 0;
        ASSERT_EQ(::read(news[0], &change, 1), 1);
        EXPECT_EQ(change, 's');
        EXPECT_FALSE(terminal.is_raw());
        ASSERT_EQ(::kill(job, SIGCONT), 0);
        wait_until([&] { return terminal.is_raw(); });
    }
    // It still listens.
    ASSERT_EQ(::write(terminal.user.get(), "\x01x", 2), 2);
    char change = 0;
    ASSERT_EQ(::read(news[0], &change, 1), 1);
    EXPECT_EQ(change, 'e');
    EXPECT_FALSE(terminal.is_raw());
    ASSERT_EQ(::waitpid(shell, nullptr, 0), shell);
    ::close(news[0]);
}

TEST_F(Program, LeavesTheTerminalAsItWasHoweverItIsKilled) {
    for (const int signal : {SIGKILL, SIGSEGV, SIGQUIT}) {
        SCOPED_TRACE(signal);
        const Terminal terminal;
        const pid_t child = start_on(terminal);
        wait_until([&] { return terminal.is_raw(); });
        ASSERT_EQ(::kill(child, signal), 0);
        ASSERT_EQ(::waitpid(child, nullptr, 0), child);
        wait_until([&] { return !terminal.is_raw(); });
    }
}

TEST_F(Program, WritesNothingIntoAFileThatGotTheNumberOfAClosedStream) {
    const test::TemporaryFolder folder;
    const std::string pidfile = folder.file("pid");
    const std::string log = folder.file("log");
    const std::string log_option = "info,file=" + log;
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int stream : {0, 1, 2}) {
            ::close(stream);
        }
        become_cxlvm({"run", "--pidfile", pidfile.c_str(), "--log", log_option.c_str()});
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_FALSE(std::filesystem::exists(pidfile));
    std::ifstream file(log);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(text.find("arguments"), std::string::npos) << text;
    EXPECT_EQ(text.find("output is lost"), std::string::npos) << text;
}

}  // namespace
}  // namespace cxlvm::cli
