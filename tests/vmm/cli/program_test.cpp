// SPDX-License-Identifier: Apache-2.0
// The program itself, as a user starts and ends it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/vmm/console/console_support.hpp"
#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm::cli {
namespace {

using test::KvmTest;
using test::Terminal;
using test::wait_until;

/// Becomes the program in a forked child.
[[noreturn]] void become_cxlvm(std::initializer_list<const char*> arguments) {
    std::vector<char*> words{const_cast<char*>("cxlvm")};
    for (const char* const argument : arguments) {
        words.push_back(const_cast<char*>(argument));
    }
    words.push_back(nullptr);
    ::execv(CXLVM_BINARY, words.data());
    ::_exit(127);
}

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

class Program : public KvmTest {};

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
