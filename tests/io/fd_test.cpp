// SPDX-License-Identifier: Apache-2.0
#include "io/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::io {
namespace {

bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) >= 0;
}

Fd dev_null() {
    return open_file("/dev/null", O_RDWR);
}

TEST(Fd, OwnsNothingByDefaultAndForNegativeNumbers) {
    EXPECT_FALSE(Fd());
    EXPECT_FALSE(Fd(-5));
    EXPECT_EQ(Fd(-5).get(), -1);
}

TEST(Fd, ClosesOnDestruction) {
    int number = -1;
    {
        const Fd fd = dev_null();
        number = fd.get();
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(Fd, MovingLeavesTheSourceEmpty) {
    Fd first = dev_null();
    const int number = first.get();
    Fd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): the state under test
    EXPECT_EQ(second.get(), number);
    Fd third = dev_null();
    const int replaced = third.get();
    third = std::move(second);
    EXPECT_EQ(third.get(), number);
    EXPECT_FALSE(is_open(replaced));
}

TEST(Fd, ReleaseGivesUpOwnershipWithoutClosing) {
    Fd fd = dev_null();
    const Fd other(fd.release());
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(other.get()));
}

TEST(Fd, ResetClosesWhatItHeld) {
    Fd fd = dev_null();
    const int number = fd.get();
    fd.reset();
    EXPECT_FALSE(fd);
    EXPECT_FALSE(is_open(number));
}

TEST(Fd, DuplicateIsASecondCloseOnExecDescriptor) {
    const Fd fd = dev_null();
    const Fd copy = fd.duplicate();
    EXPECT_NE(copy.get(), fd.get());
    EXPECT_NE(::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_THROW((void)Fd().duplicate(), Error);
}

TEST(OpenFile, IsCloseOnExec) {
    EXPECT_NE(::fcntl(dev_null().get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(OpenFile, NamesAMissingFileAsTheCallersFault) {
    try {
        (void)open_file("/nonexistent/file", O_RDONLY);
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(),
                     "cannot open /nonexistent/file: No such file or directory; check the path");
        EXPECT_EQ(error.fault(), Fault::Input);
    }
}

TEST(OpenFile, NamesTheOptionThatTheFileWasGivenBy) {
    try {
        (void)open_file("/nonexistent/file", O_RDONLY, 0, "--kernel");
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_STREQ(
            error.what(),
            "--kernel: cannot open /nonexistent/file: No such file or directory; check the path");
        EXPECT_EQ(error.fault(), Fault::Input);
    }
}

TEST(OpenRegularFile, RefusesEverythingElseWithoutWaiting) {
    const std::string pipe = testing::TempDir() + "cxlvm_fd_test_" + std::to_string(::getpid());
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    const std::pair<std::string, std::string> cases[] = {
        {pipe, "a pipe"}, {"/tmp", "a folder"}, {"/dev/null", "a device"}};
    for (const auto& [path, kind] : cases) {
        try {
            (void)open_regular_file(path, "--config");
            ADD_FAILURE() << "nothing was thrown for " << path;
        } catch (const Error& error) {
            EXPECT_EQ(error.what(), "--config: " + path + ": is " + kind + "; give a regular file");
            EXPECT_EQ(error.fault(), Fault::Input);
        }
    }
    try {
        (void)open_file(pipe, O_WRONLY | O_NONBLOCK, 0, "--log");
        ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.what(), "--log: cannot open " + pipe +
                                    ": nobody reads this pipe; start its reader first");
    }
    ::unlink(pipe.c_str());
    EXPECT_TRUE(open_regular_file("/proc/self/exe"));
}

TEST(FileSize, IsThatOfARegularFile) {
    const Fd file = open_file("/tmp", O_TMPFILE | O_RDWR, 0600);
    EXPECT_EQ(file_size(file, "scratch"), 0U);
    ASSERT_EQ(::ftruncate(file.get(), 12345), 0);
    EXPECT_EQ(file_size(file, "scratch"), 12345U);
}

TEST(FileSize, RefusesWhatHasNone) {
    EXPECT_THROW((void)file_size(dev_null(), "/dev/null"), Error);
    EXPECT_THROW((void)file_size(Fd(), "nothing"), Error);
}

TEST(OpenDescriptor, CopiesTheOneThatIsNamedAndLeavesItOpen) {
    const Fd original = dev_null();
    {
        const auto copy = open_descriptor("fd=" + std::to_string(original.get()), "option");
        ASSERT_TRUE(copy);
        EXPECT_NE(copy->get(), original.get());
        EXPECT_EQ(::fcntl(copy->get(), F_GETFD), FD_CLOEXEC);
    }
    EXPECT_TRUE(is_open(original.get()));
}

TEST(OpenDescriptor, IsNothingForAPath) {
    EXPECT_FALSE(open_descriptor("", "option"));
    EXPECT_FALSE(open_descriptor("fd", "option"));
    EXPECT_FALSE(open_descriptor("/dev/fd=3", "option"));
}

TEST(OpenDescriptor, OfWhatIsNoOpenDescriptorIsAnInputErrorThatNamesTheObject) {
    for (const char* const path :
         {"fd=", "fd=x", "fd=-1", "fd=3x", "fd= 3", "fd=99999999999999", "fd=987654"}) {
        try {
            static_cast<void>(open_descriptor(path, "the object"));
            ADD_FAILURE() << path << " was opened";
        } catch (const Error& error) {
            EXPECT_EQ(error.fault(), Fault::Input) << path;
            EXPECT_EQ(std::string(error.what()).find("the object: "), 0U) << error.what();
        }
    }
}

}  // namespace
}  // namespace cxlvm::io
