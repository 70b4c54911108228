// SPDX-License-Identifier: Apache-2.0
#include "io/io_uring_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "io/error.hpp"
#include "io/event_loop.hpp"

namespace cxlvm::io {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(IoUringProbe, AgreesWithWhatAnEventLoopFinds) {
    const IoUringSupport support = probe_io_uring();
    EXPECT_EQ(support.available, support.problem.empty());
    EXPECT_EQ(support.available, support.error == 0);
    if (support.available) {
        EXPECT_NO_THROW(EventLoop loop);
    } else {
        EXPECT_THROW(EventLoop loop, Error);
    }
    if (support.deferred_task_run) {
        EXPECT_TRUE(support.single_issuer);
    }
}

TEST(IoUringProbe, NamesTheSysctlThatSwitchesItOff) {
    EXPECT_THAT(explain_io_uring_failure(EPERM, 2, 0), HasSubstr("kernel.io_uring_disabled is 2"));
    EXPECT_THAT(explain_io_uring_failure(EPERM, 2, 0),
                HasSubstr("sysctl kernel.io_uring_disabled=0"));
    EXPECT_THAT(explain_io_uring_failure(EPERM, 1, 0), HasSubstr("kernel.io_uring_group"));
    EXPECT_THAT(explain_io_uring_failure(EPERM, 1, 0),
                HasSubstr("sysctl kernel.io_uring_disabled=0"));
}

TEST(IoUringProbe, BlamesAFilterWhenTheSysctlAllowsIt) {
    EXPECT_THAT(explain_io_uring_failure(EPERM, 0, 0), HasSubstr("seccomp"));
    EXPECT_THAT(explain_io_uring_failure(EPERM, std::nullopt, 0), HasSubstr("seccomp"));
    EXPECT_THAT(explain_io_uring_failure(ENOSYS, std::nullopt, 0), HasSubstr("CONFIG_IO_URING"));
}

TEST(IoUringProbe, NamesTheLimitThatIsUsedUp) {
    EXPECT_THAT(explain_io_uring_failure(ENOMEM, 0, 65536), HasSubstr("of 64 KiB"));
    EXPECT_THAT(explain_io_uring_failure(ENOMEM, 0, 65536), HasSubstr("ulimit -l"));
    EXPECT_THAT(explain_io_uring_failure(EMFILE, 0, 0), HasSubstr("ulimit -n"));
}

TEST(IoUringProbe, ExplainsEveryErrorInOneLine) {
    for (const int error : {EPERM, ENOSYS, ENOMEM, EMFILE, EINVAL, EFAULT}) {
        EXPECT_THAT(explain_io_uring_failure(error), Not(HasSubstr("\n")));
    }
}

/// Makes io_uring_setup fail with `error` in this process, for good.
void forbid_io_uring(int error) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{.len = 4, .filter = program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        std::perror("prctl");
        std::_Exit(1);
    }
}

TEST(IoUringProbeDeathTest, ALoopThatASeccompFilterForbidsSaysSo) {
    EXPECT_EXIT(
        {
            forbid_io_uring(EPERM);
            const IoUringSupport support = probe_io_uring();
            const bool probed = support.available || support.error != EPERM;
            try {
                EventLoop loop({.entries = 8, .name = "disk"});
            } catch (const Error& error) {
                std::fprintf(stderr, "%s\n", error.what());
                std::_Exit(!probed && error.fault() == Fault::Host ? 0 : 1);
            }
            std::_Exit(1);
        },
        testing::ExitedWithCode(0), "event loop disk: io_uring is not usable.*seccomp");
    EXPECT_EXIT(
        {
            forbid_io_uring(ENOSYS);
            try {
                EventLoop loop;
            } catch (const Error& error) {
                std::fprintf(stderr, "%s\n", error.what());
                std::_Exit(0);
            }
            std::_Exit(1);
        },
        testing::ExitedWithCode(0), "the kernel has no io_uring");
}

}  // namespace
}  // namespace cxlvm::io
