// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "io/event_loop.hpp"
#include "tests/io/loop_support.hpp"

// stop(), run() again, and the destruction of a loop.

namespace cxlvm::io {
namespace {

using namespace std::chrono_literals;
using test::Pipe;
using test::put;
using test::Recorded;
using test::serve_until;

class EventLoopStopTest : public test::EventLoopFixture {};

TEST_F(EventLoopStopTest, CancelsEverythingInFlightAndPending) {
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    for (int i = 0; i < 1000; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        loop_.start(reads.back()->op.set(pipe_.reader.get(), buffer_));
    }
    Recorded<TimeoutOp> timer;
    timer.record.then = [&] { loop_.stop(); };
    loop_.start(timer.op.set(5ms));
    loop_.run();
    EXPECT_EQ(timer.record.only(), -ETIME);
    for (const auto& read : reads) {
        ASSERT_TRUE(read->op.idle());
        ASSERT_TRUE(read->op.cancel_requested());
        ASSERT_EQ(read->record.only(), -ECANCELED);
    }
}

TEST_F(EventLoopStopTest, EndsMultishotsAndLinkedPairs) {
    Recorded<PollOp> poll;
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    loop_.start(poll.op.set(pipe_.reader.get(), 1, true));
    loop_.start_with_timeout(read.op.set(pipe_.reader.get(), buffer_), limit.op.set(1h));
    Recorded<TimeoutOp> timer;
    timer.record.then = [&] { loop_.stop(); };
    loop_.start(timer.op.set(2ms));
    loop_.run();
    EXPECT_EQ(poll.record.only(), -ECANCELED);
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(limit.record.only(), -ECANCELED);
}

TEST_F(EventLoopStopTest, BeforeRunMakesItReturnAtOnceWithEverythingCancelled) {
    Recorded<ReadOp> read;
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.stop();
    loop_.stop();
    loop_.run();
    EXPECT_EQ(read.record.only(), -ECANCELED);
}

TEST_F(EventLoopStopTest, CancelsWhatIsStartedWhileStoppingButNotFromWithinStart) {
    Recorded<ReadOp> read;
    Recorded<ReadOp> late;
    bool inside_start = false;
    read.record.then = [&] {
        inside_start = true;
        loop_.start(late.op.set(pipe_.reader.get(), buffer_));
        inside_start = false;
    };
    late.record.then = [&] { EXPECT_FALSE(inside_start); };
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.stop();
    loop_.run();
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(late.record.only(), -ECANCELED);
}

TEST_F(EventLoopStopTest, LetsTheLoopRunAgain) {
    for (int i = 0; i < 3; ++i) {
        Recorded<TimeoutOp> timer;
        Recorded<ReadOp> read;
        timer.record.then = [&] { loop_.stop(); };
        loop_.start(timer.op.set(1ms));
        loop_.start(read.op.set(pipe_.reader.get(), buffer_));
        loop_.run();
        EXPECT_EQ(timer.record.only(), -ETIME);
        EXPECT_EQ(read.record.only(), -ECANCELED);
    }
}

TEST_F(EventLoopStopTest, DoesNotDisturbBytesThatNobodyRead) {
    Recorded<ReadOp> read;
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.stop();
    loop_.run();
    put(pipe_.writer, "kept");
    EXPECT_EQ(::read(pipe_.reader.get(), buffer_.data(), buffer_.size()), 4);
}

TEST_F(EventLoopStopTest, TasksThatWerePostedBeforeStillRun) {
    int runs = 0;
    Task task(&runs, [](void* count) noexcept { ++*static_cast<int*>(count); });
    loop_.post(task);
    loop_.stop();
    loop_.run();
    EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopStopTest, TasksThatArePostedAfterRunWaitForTheNextOne) {
    int runs = 0;
    loop_.stop();
    loop_.run();
    Task task(&runs, [](void* count) noexcept { ++*static_cast<int*>(count); });
    loop_.post(task);
    EXPECT_EQ(runs, 0);
    loop_.stop();
    loop_.run();
    EXPECT_EQ(runs, 1);
}

TEST_F(EventLoopStopTest, SigpipeIsAResultWhileTheLoopRuns) {
    ASSERT_NE(::signal(SIGPIPE, SIG_DFL), SIG_ERR);
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const Fd socket(ends[0]);
    ::close(ends[1]);
    pipe_.reader.reset();
    Recorded<WriteOp> into_pipe;
    Recorded<WriteOp> into_socket;
    into_socket.record.then = [&] { loop_.stop(); };
    loop_.start(into_pipe.op.set(pipe_.writer.get(), buffer_));
    loop_.start(into_socket.op.set(socket.get(), buffer_));
    loop_.run();
    EXPECT_EQ(into_pipe.record.only(), -EPIPE);
    EXPECT_EQ(into_socket.record.only(), -EPIPE);
    sigset_t pending;
    sigset_t blocked;
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
    EXPECT_EQ(sigismember(&blocked, SIGPIPE), 0);
}

TEST(EventLoopDestruction, CompletesWhatWasNeverRunWithCancelled) {
    Pipe pipe;
    std::array<std::byte, 8> buffer{};
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    {
        EventLoop loop({.entries = 8, .name = "never run"});
        for (int i = 0; i < 20; ++i) {
            reads.push_back(std::make_unique<Recorded<ReadOp>>());
            loop.start(reads.back()->op.set(pipe.reader.get(), buffer));
        }
        loop.start_with_timeout(read.op.set(pipe.reader.get(), buffer), limit.op.set(1h));
    }
    for (const auto& each : reads) {
        EXPECT_EQ(each->record.only(), -ECANCELED);
    }
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(limit.record.only(), -ECANCELED);
}

TEST(EventLoopDestruction, EndsWhatRunReadyLeftInFlight) {
    Pipe pipe;
    std::array<std::byte, 8> buffer{};
    Recorded<ReadOp> read;
    {
        EventLoop loop({.entries = 8, .name = "test"});
        loop.start(read.op.set(pipe.reader.get(), buffer));
        loop.run_ready();
        EXPECT_FALSE(read.op.idle());
    }
    EXPECT_EQ(read.record.only(), -ECANCELED);
}

TEST(EventLoopDestruction, ForgetsTasksThatNeverRan) {
    int runs = 0;
    Task task(&runs, [](void* count) noexcept { ++*static_cast<int*>(count); });
    {
        EventLoop loop({.entries = 8, .name = "test"});
        loop.post(task);
    }
    EXPECT_EQ(runs, 0);
    EXPECT_FALSE(task.is_linked());
}

TEST(EventLoopDestruction, ByTheBuilderAfterAThreadRanIt) {
    Pipe pipe;
    std::array<std::byte, 8> buffer{};
    Recorded<ReadOp> read;
    {
        EventLoop loop({.entries = 8, .name = "test"});
        // Before run(), on the constructing thread: served by the other one.
        loop.start(read.op.set(pipe.reader.get(), buffer));
        std::thread runner([&] { loop.run(); });
        put(pipe.writer, "hello");
        while (true) {
            int unread = 0;
            // The loop has taken the bytes once the pipe is empty.
            ASSERT_EQ(::ioctl(pipe.reader.get(), FIONREAD, &unread), 0);
            if (unread == 0) {
                break;
            }
            std::this_thread::sleep_for(1ms);
        }
        loop.stop();
        runner.join();
    }
    EXPECT_EQ(read.record.only(), 5);
}

}  // namespace
}  // namespace cxlvm::io
