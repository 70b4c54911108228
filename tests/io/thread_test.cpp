// SPDX-License-Identifier: Apache-2.0
#include "io/thread.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <csignal>
#include <memory>
#include <thread>

#include "io/error.hpp"
#include "tests/support/refuse_threads.hpp"

namespace cxlvm::io {
namespace {

TEST(Thread, RunsItsBodyUnderItsNameWithSignalsBlocked) {
    std::array<char, 16> name{};
    bool terminate_is_blocked = false;
    bool fault_is_blocked = true;
    Thread thread("a name that is cut", [&] {
        ::pthread_getname_np(::pthread_self(), name.data(), name.size());
        sigset_t mask;
        ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        terminate_is_blocked = ::sigismember(&mask, SIGTERM) == 1;
        fault_is_blocked = ::sigismember(&mask, SIGSEGV) == 1;
    });
    EXPECT_TRUE(thread.joinable());
    thread.join();
    EXPECT_FALSE(thread.joinable());
    EXPECT_STREQ(name.data(), "a name that is ");
    EXPECT_TRUE(terminate_is_blocked);
    EXPECT_FALSE(fault_is_blocked);
    // The creator's own are as before.
    sigset_t mask;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(::sigismember(&mask, SIGTERM), 0);
}

TEST(Thread, HasAStackTooSmallForAHugePage) {
    std::size_t size = 0;
    Thread("stack", [&] {
        pthread_attr_t attributes;
        ASSERT_EQ(::pthread_getattr_np(::pthread_self(), &attributes), 0);
        void* base = nullptr;
        ::pthread_attr_getstack(&attributes, &base, &size);
        ::pthread_attr_destroy(&attributes);
    }).join();
    EXPECT_GE(size, 512U << 10);
    EXPECT_LT(size, 2U << 20);
}

TEST(Thread, ThatCannotBeStartedSaysWhichLimitsThereAre) {
    std::thread([] {
        ASSERT_TRUE(test::refuse_threads());
        try {
            const Thread thread("one too many", [] {});
            FAIL() << "nothing was thrown";
        } catch (const Error& error) {
            EXPECT_STREQ(error.what(),
                         "start the thread one too many: Resource temporarily unavailable; raise "
                         "the limit of threads (ulimit -u, or the cgroup's pids.max) or of address "
                         "space (ulimit -v)");
            EXPECT_EQ(error.errno_value(), EAGAIN);
            EXPECT_EQ(error.fault(), Fault::Host);
        }
    }).join();
}

TEST(Thread, IsJoinedByItsDestructorAndByAssignment) {
    std::atomic<int> count{0};
    {
        Thread thread("first", [&] { ++count; });
        thread = Thread("second", [&] { count += 10; });
        Thread moved(std::move(thread));
        EXPECT_TRUE(moved.joinable());
    }
    EXPECT_EQ(count, 11);
    Thread none;
    none.join();
    EXPECT_FALSE(none.joinable());
}

TEST(Thread, FreesWhatItsBodyHolds) {
    const auto held = std::make_shared<int>(1);
    Thread("holder", [held] {}).join();
    EXPECT_EQ(held.use_count(), 1);
}

}  // namespace
}  // namespace cxlvm::io
