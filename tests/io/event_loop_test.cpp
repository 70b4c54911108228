// SPDX-License-Identifier: Apache-2.0
#include "io/event_loop.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <memory>
#include <vector>

#include "io/error.hpp"
#include "tests/io/loop_support.hpp"

namespace cxlvm::io {
namespace {

using namespace std::chrono_literals;
using test::Pipe;
using test::put;
using test::Recorded;
using test::serve_for;
using test::serve_until;

class EventLoopTest : public test::EventLoopFixture {};

TEST(EventLoopConfig, TakesPowersOfTwoOnly) {
    for (const std::uint32_t entries : {0U, 1U, 3U, 100U, 65536U}) {
        EXPECT_THROW(EventLoop({.entries = entries, .name = "bad"}), Error) << entries;
    }
    EXPECT_NO_THROW(EventLoop({.entries = 2, .name = "tiny"}));
}

TEST_F(EventLoopTest, DeliversAResultOnceAndLeavesTheOperationIdle) {
    Recorded<ReadOp> read;
    EXPECT_TRUE(read.op.idle());
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    EXPECT_FALSE(read.op.idle());
    put(pipe_.writer, "abc");
    serve_until(loop_, [&] { return read.op.idle(); });
    serve_for(loop_, 5ms);
    EXPECT_EQ(read.record.only(), 3);
    EXPECT_EQ(buffer_[2], std::byte{'c'});
}

TEST_F(EventLoopTest, ReportsAFailureAsANegativeErrno) {
    Recorded<ReadOp> read;
    loop_.start(read.op.set(-1, buffer_));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), -EBADF);
}

TEST_F(EventLoopTest, RunReadyCountsTheCompletionsItDelivered) {
    Recorded<ReadOp> read;
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    EXPECT_EQ(loop_.run_ready(), 0U);
    put(pipe_.writer, "x");
    std::size_t delivered = 0;
    serve_until(loop_, [&] {
        delivered += loop_.run_ready();
        return read.op.idle();
    });
    EXPECT_EQ(delivered, 1U);
}

TEST_F(EventLoopTest, ServesTenThousandOperationsThroughEightEntries) {
    constexpr std::size_t kCount = 10'000;
    std::vector<std::unique_ptr<Recorded<PollOp>>> polls;
    for (std::size_t i = 0; i < kCount; ++i) {
        polls.push_back(std::make_unique<Recorded<PollOp>>());
        loop_.start(polls.back()->op.set(pipe_.reader.get(), POLLIN));
    }
    // All of them wait in the kernel at once, then complete at once: the completion queue of 32
    // entries overflows.
    EXPECT_EQ(loop_.run_ready(), 0U);
    put(pipe_.writer, "x");
    serve_until(loop_, [&] {
        for (const auto& poll : polls) {
            if (!poll->op.idle()) {
                return false;
            }
        }
        return true;
    });
    for (const auto& poll : polls) {
        ASSERT_EQ(poll->record.only(), POLLIN);
    }
}

TEST_F(EventLoopTest, StartsPendingOperationsInOrder) {
    // One byte each: operation i must read byte i.
    constexpr std::size_t kCount = 100;
    std::string text;
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    std::array<std::byte, kCount> bytes{};
    for (std::size_t i = 0; i < kCount; ++i) {
        text.push_back(static_cast<char>(i));
    }
    put(pipe_.writer, text);
    for (std::size_t i = 0; i < kCount; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        loop_.start(reads.back()->op.set(pipe_.reader.get(), std::span(bytes).subspan(i, 1)));
    }
    serve_until(loop_, [&] { return reads.back()->op.idle(); });
    for (std::size_t i = 0; i < kCount; ++i) {
        EXPECT_EQ(reads[i]->record.only(), 1);
        EXPECT_EQ(bytes[i], static_cast<std::byte>(i));
    }
}

TEST_F(EventLoopTest, AnOperationMayStartItselfAgainFromItsCompletion) {
    Recorded<TimeoutOp> timer;
    timer.record.then = [&] {
        EXPECT_TRUE(timer.op.idle());
        if (timer.record.results.size() < 100) {
            loop_.start(timer.op.set(0ns));
        }
    };
    loop_.start(timer.op.set(0ns));
    serve_until(loop_, [&] { return timer.op.idle(); });
    EXPECT_EQ(timer.record.results.size(), 100U);
}

TEST_F(EventLoopTest, AnOperationMayDestroyItselfInItsCompletion) {
    struct Owner {
        std::unique_ptr<TimeoutOp> timer;
        void on_time(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
            timer.reset();
        }
    } owner;
    owner.timer = std::make_unique<TimeoutOp>(Completion::to<&Owner::on_time>(owner));
    loop_.start(owner.timer->set(0ns));
    serve_until(loop_, [&] { return owner.timer == nullptr; });
}

TEST_F(EventLoopTest, CancelEndsAnOperationInFlight) {
    Recorded<ReadOp> read;
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.run_ready();
    loop_.cancel(read.op);
    EXPECT_FALSE(read.op.idle()) << "must not complete from within cancel";
    EXPECT_TRUE(read.op.cancel_requested());
    loop_.cancel(read.op);
    serve_until(loop_, [&] { return read.op.idle(); });
    serve_for(loop_, 5ms);
    EXPECT_EQ(read.record.only(), -ECANCELED);
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    EXPECT_FALSE(read.op.cancel_requested());
    put(pipe_.writer, "again");
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.results.back().value, 5);
}

TEST_F(EventLoopTest, CancelEndsAnOperationThatIsNotYetSubmitted) {
    Recorded<ReadOp> read;
    loop_.run_ready();
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.cancel(read.op);
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), -ECANCELED);
}

TEST_F(EventLoopTest, CancelEndsAnOperationThatWaitsForASubmissionEntry) {
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    for (int i = 0; i < 20; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        loop_.start(reads.back()->op.set(pipe_.reader.get(), buffer_));
    }
    loop_.cancel(reads.back()->op);
    EXPECT_FALSE(reads.back()->op.idle());
    serve_until(loop_, [&] { return reads.back()->op.idle(); });
    EXPECT_EQ(reads.back()->record.only(), -ECANCELED);
    for (auto& read : reads) {
        loop_.cancel(read->op);
    }
    serve_until(loop_, [&] { return reads.front()->op.idle() && reads[18]->op.idle(); });
}

TEST_F(EventLoopTest, CancelOfAnIdleOperationHasNoEffect) {
    Recorded<ReadOp> read;
    loop_.cancel(read.op);
    serve_for(loop_, 2ms);
    EXPECT_TRUE(read.record.results.empty());
    put(pipe_.writer, "x");
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), 1);
}

TEST_F(EventLoopTest, ACancelThatComesTooLateLeavesTheResult) {
    for (int i = 0; i < 200; ++i) {
        Recorded<ReadOp> read;
        loop_.start(read.op.set(pipe_.reader.get(), buffer_));
        if (i % 2 == 0) {
            loop_.run_ready();
        }
        put(pipe_.writer, "x");
        loop_.cancel(read.op);
        serve_until(loop_, [&] { return read.op.idle(); });
        serve_for(loop_, 0ms);
        const std::int32_t result = read.record.only();
        if (result == -ECANCELED) {
            std::byte byte{};
            ASSERT_EQ(::read(pipe_.reader.get(), &byte, 1), 1) << "the byte was lost";
        } else {
            ASSERT_EQ(result, 1);
        }
    }
}

TEST_F(EventLoopTest, ACompletionMayCancelAnotherOperation) {
    Recorded<ReadOp> read;
    Recorded<TimeoutOp> timer;
    timer.record.then = [&] { loop_.cancel(read.op); };
    loop_.start(read.op.set(pipe_.reader.get(), buffer_));
    loop_.start(timer.op.set(1ms));
    serve_until(loop_, [&] { return read.op.idle(); });
    EXPECT_EQ(read.record.only(), -ECANCELED);
}

TEST_F(EventLoopTest, CancelsManyMoreThanThereAreEntries) {
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    for (int i = 0; i < 500; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        loop_.start(reads.back()->op.set(pipe_.reader.get(), buffer_));
    }
    loop_.run_ready();
    for (auto& read : reads) {
        loop_.cancel(read->op);
    }
    for (auto& read : reads) {
        serve_until(loop_, [&] { return read->op.idle(); });
        ASSERT_EQ(read->record.only(), -ECANCELED);
    }
}

TEST_F(EventLoopTest, ALinkedTimeoutThatExpiresCancelsItsOperation) {
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    loop_.start_with_timeout(read.op.set(pipe_.reader.get(), buffer_), limit.op.set(2ms));
    serve_until(loop_, [&] { return read.op.idle() && limit.op.idle(); });
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(limit.record.only(), -ETIME);
}

TEST_F(EventLoopTest, ALinkedTimeoutEndsWithItsOperation) {
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    loop_.start_with_timeout(read.op.set(pipe_.reader.get(), buffer_), limit.op.set(1h));
    loop_.run_ready();
    put(pipe_.writer, "in time");
    serve_until(loop_, [&] { return read.op.idle() && limit.op.idle(); });
    EXPECT_EQ(read.record.only(), 7);
    EXPECT_EQ(limit.record.only(), -ECANCELED);
}

TEST_F(EventLoopTest, CancellingAnOperationEndsItsLinkedTimeoutToo) {
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    loop_.start_with_timeout(read.op.set(pipe_.reader.get(), buffer_), limit.op.set(1h));
    loop_.run_ready();
    loop_.cancel(limit.op);  // no effect
    serve_for(loop_, 5ms);
    EXPECT_FALSE(read.op.idle());
    loop_.cancel(read.op);
    serve_until(loop_, [&] { return read.op.idle() && limit.op.idle(); });
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(limit.record.only(), -ECANCELED);
}

TEST_F(EventLoopTest, LinkedPairsStayTogetherWhenTheQueueIsFull) {
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    std::vector<std::unique_ptr<Recorded<LinkTimeoutOp>>> limits;
    for (int i = 0; i < 51; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        limits.push_back(std::make_unique<Recorded<LinkTimeoutOp>>());
        loop_.start_with_timeout(reads.back()->op.set(pipe_.reader.get(), buffer_),
                                 limits.back()->op.set(1ms));
        Recorded<TimeoutOp> odd;  // so that pairs start at odd entries as well
        loop_.start(odd.op.set(0ns));
        if (i % 3 == 0) {
            serve_until(loop_, [&] { return odd.op.idle(); });
        } else {
            loop_.cancel(odd.op);
            serve_until(loop_, [&] { return odd.op.idle(); });
        }
    }
    for (std::size_t i = 0; i < reads.size(); ++i) {
        serve_until(loop_, [&] { return reads[i]->op.idle() && limits[i]->op.idle(); });
        EXPECT_EQ(reads[i]->record.only(), -ECANCELED);
        EXPECT_EQ(limits[i]->record.only(), -ETIME);
    }
}

TEST_F(EventLoopTest, CancelOfAPendingPairCompletesBoth) {
    std::vector<std::unique_ptr<Recorded<ReadOp>>> reads;
    for (int i = 0; i < 20; ++i) {
        reads.push_back(std::make_unique<Recorded<ReadOp>>());
        loop_.start(reads.back()->op.set(pipe_.reader.get(), buffer_));
    }
    Recorded<ReadOp> read;
    Recorded<LinkTimeoutOp> limit;
    loop_.start_with_timeout(read.op.set(pipe_.reader.get(), buffer_), limit.op.set(1h));
    loop_.cancel(limit.op);  // no effect
    loop_.cancel(read.op);
    serve_until(loop_, [&] { return read.op.idle() && limit.op.idle(); });
    EXPECT_EQ(read.record.only(), -ECANCELED);
    EXPECT_EQ(limit.record.only(), -ECANCELED);
    for (auto& each : reads) {
        loop_.cancel(each->op);
        serve_until(loop_, [&] { return each->op.idle(); });
    }
}

TEST_F(EventLoopTest, AMultishotOperationReportsUntilCancelled) {
    Recorded<PollOp> poll;
    loop_.start(poll.op.set(pipe_.reader.get(), POLLIN, true));
    for (std::size_t i = 1; i <= 3; ++i) {
        put(pipe_.writer, "x");
        serve_until(loop_, [&] { return poll.record.results.size() >= i; });
        std::byte byte{};
        ASSERT_EQ(::read(pipe_.reader.get(), &byte, 1), 1);
        EXPECT_FALSE(poll.op.idle());
        EXPECT_TRUE(poll.record.results.back().more);
    }
    loop_.cancel(poll.op);
    serve_until(loop_, [&] { return poll.op.idle(); });
    EXPECT_EQ(poll.record.results.back(), (test::Result{-ECANCELED, false}));
}

TEST_F(EventLoopTest, AMultishotOperationMayCancelItselfFromItsCompletion) {
    Recorded<PollOp> poll;
    poll.record.then = [&] { loop_.cancel(poll.op); };
    loop_.start(poll.op.set(pipe_.reader.get(), POLLIN, true));
    put(pipe_.writer, "x");
    serve_until(loop_, [&] { return poll.op.idle(); });
    EXPECT_FALSE(poll.record.results.back().more);
    EXPECT_GE(poll.record.results.size(), 2U);
}

TEST_F(EventLoopTest, TheConstructingThreadIsTheLoopsBeforeItRuns) {
    EXPECT_TRUE(loop_.on_loop_thread());
    bool foreign = true;
    std::thread([&] { foreign = loop_.on_loop_thread(); }).join();
    EXPECT_FALSE(foreign);
}

TEST(EventLoopDeathTest, AbortsOnAnOperationDestroyedInFlight) {
    EXPECT_DEATH(
        {
            EventLoop loop({.entries = 8, .name = "test"});
            Recorded<TimeoutOp> timer;
            loop.start(timer.op.set(1h));
        },
        "destroyed before it completed");
}

TEST(EventLoopDeathTest, AbortsOnASecondStart) {
    EXPECT_DEATH(
        {
            EventLoop loop({.entries = 8, .name = "test"});
            Recorded<TimeoutOp> timer;
            loop.start(timer.op.set(1h));
            loop.start(timer.op);
        },
        "has not completed");
}

TEST(EventLoopDeathTest, AbortsOnAStartByAForeignThread) {
    EXPECT_DEATH(
        {
            EventLoop loop({.entries = 8, .name = "test"});
            Recorded<TimeoutOp> timer;
            std::thread([&] { loop.start(timer.op.set(0ns)); }).join();
        },
        "foreign thread");
}

}  // namespace
}  // namespace cxlvm::io
