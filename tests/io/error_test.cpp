// SPDX-License-Identifier: Apache-2.0
#include "io/error.hpp"

#include <gtest/gtest.h>

namespace cxlvm::io {
namespace {

TEST(Error, NamesTheObjectAndTheCauseInOneLine) {
    try {
        throw_error(ENOENT, "cannot open kernel.img", Fault::Input);
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "cannot open kernel.img: No such file or directory");
        EXPECT_EQ(error.errno_value(), ENOENT);
        EXPECT_EQ(error.fault(), Fault::Input);
    }
}

TEST(Error, IsTheHostsFaultUnlessToldOtherwise) {
    try {
        errno = EIO;
        throw_errno("read disk");
        FAIL() << "nothing was thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.errno_value(), EIO);
        EXPECT_EQ(error.fault(), Fault::Host);
    }
}

TEST(Error, SaysHowToRaiseTheLimitThatACallMet) {
    const std::pair<int, const char*> limits[] = {
        {EMFILE, "eventfd: Too many open files; raise the limit of open files (ulimit -n)"},
        {ENFILE,
         "eventfd: Too many open files in system; raise the host's limit (sysctl fs.file-max)"},
        {ENOMEM,
         "eventfd: Cannot allocate memory; free some memory, or raise the limit of address space "
         "(ulimit -v)"},
        {EFBIG, "eventfd: File too large; raise the limit of a file's size (ulimit -f)"},
    };
    for (const auto& [error, message] : limits) {
        EXPECT_STREQ(Error(std::error_code(error, std::generic_category()), "eventfd").what(),
                     message);
    }
}

TEST(Error, WithoutErrnoIsTheMessageAlone) {
    try {
        throw_input("--memory: 0 bytes");
        FAIL() << "nothing was thrown";
    } catch (const std::system_error& error) {
        EXPECT_STREQ(error.what(), "--memory: 0 bytes");
        EXPECT_FALSE(error.code());
    }
}

TEST(CheckDeathTest, AbortsWithItsMessageWhenTheInvariantIsBroken) {
    check(true, "not printed");
    EXPECT_DEATH(check(false, "the sky fell"), "cxlvm: internal error: the sky fell");
}

TEST(RetryEintr, CallsAgainOnlyAfterEintr) {
    int calls = 0;
    EXPECT_EQ(retry_eintr([&] {
                  errno = EINTR;
                  return ++calls < 3 ? -1 : 42;
              }),
              42);
    EXPECT_EQ(calls, 3);
    calls = 0;
    EXPECT_EQ(retry_eintr([&] {
                  ++calls;
                  errno = EIO;
                  return -1;
              }),
              -1);
    EXPECT_EQ(calls, 1);
}

TEST(ErrnoText, IsNeverNull) {
    EXPECT_STREQ(errno_text(ENOENT), "No such file or directory");
    for (const int error : {0, -1, 41, 512, 100'000}) {
        EXPECT_NE(errno_text(error), nullptr) << error;
    }
    EXPECT_STREQ(errno_text(100'000), "unknown error");
}

}  // namespace
}  // namespace cxlvm::io
