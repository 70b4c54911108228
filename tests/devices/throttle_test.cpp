// SPDX-License-Identifier: Apache-2.0
#include "devices/throttle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>

#include "io/error.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/stepped_clock.hpp"
#include "tests/support/stepped_rate.hpp"

namespace cxlvm {
namespace {

using namespace std::chrono_literals;
using test::SteppedClock;

// A token comes each microsecond of the stepped clock; the timers are those of the host, and short.
constexpr std::uint64_t kRate = 1'000'000;

class ThrottleTest : public testing::Test {
  protected:
    /// Somebody whose requests are all of one size, and who wants `left` of them.
    class Client {
      public:
        Client(Throttle& throttle, std::string& order, char name, Throttle::Cost cost)
            : throttle_(throttle), order_(order), name_(name), cost_(cost) {}

        void want(int count) {
            left += count;
            if (!waits) {
                go_on();
            }
        }
        void leave() {
            throttle_.leave(waiter_);
            waits = false;
            left = 0;
        }

        int left = 0;
        bool waits = false;

      private:
        void go_on() noexcept {
            while (left > 0) {
                if (!throttle_.admit(cost_, waiter_)) {
                    waits = true;
                    return;
                }
                done();
            }
        }
        void done() noexcept {
            --left;
            order_.push_back(name_);
        }
        void on_turn() noexcept {
            waits = false;
            done();
            go_on();
        }

        Throttle& throttle_;
        std::string& order_;
        char name_;
        Throttle::Cost cost_;
        Throttle::Waiter waiter_{Throttle::Waiter::to<&Client::on_turn>(*this)};
    };

    void SetUp() override { order_.reserve(10'000); }
    /// Serves the loop until so many are done, and then sees that it stays at that.
    void run(std::size_t expected) {
        test::serve_exactly(loop_, expected, [&] { return order_.size(); });
    }
    void take(std::initializer_list<test::RateStep> steps) {
        test::take_steps(steps, [&](std::size_t done) { run(done); });
    }
    void run_until_idle(const Throttle& throttle) {
        EXPECT_TRUE(test::serve_until(loop_, [&] { return throttle.idle(); }));
    }
    io::EventLoop loop_{{.entries = 8, .name = "test"}};
    SteppedClock clock_;
    std::string order_;
    int idle_ = 0;
};

TEST_F(ThrottleTest, WithoutLimitsNobodyWaits) {
    Throttle throttle({}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 1 << 30, .operations = 1});
    client.want(1000);
    EXPECT_EQ(client.left, 0);
    EXPECT_TRUE(throttle.idle());
}

TEST_F(ThrottleTest, HoldsOperationsToTheirRate) {
    Throttle throttle({.operations = {.rate = kRate, .burst = 3}}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 4096, .operations = 1});
    client.want(10);
    take({{0us, 3}, {2us, 5}, {1h, 8}, {1h, 10}});
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, HoldsBytesToTheirRateAndWhatIsLargerThanTheBurstInDebt) {
    Throttle throttle({.bytes = {.rate = kRate, .burst = 1000}}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 5000, .operations = 1});
    client.want(3);
    take({{0us, 1}, {4999us, 1}, {1us, 2}, {5000us, 3}});
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, BothRatesHoldAndNothingIsPaidBeforeBothAllow) {
    Throttle throttle(
        {.bytes = {.rate = kRate, .burst = 100}, .operations = {.rate = kRate, .burst = 2}}, loop_,
        SteppedClock::now);
    Client large(throttle, order_, 'l', {.bytes = 100, .operations = 1});
    large.want(2);
    take({{0us, 1}, {100us, 2}});
    Client small(throttle, order_, 's', {.bytes = 0, .operations = 1});
    small.want(2);
    take({{0us, 3}, {1us, 4}});
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, ThoseWhoWaitTakeTurns) {
    Throttle throttle({.bytes = {.rate = kRate, .burst = 1}}, loop_, SteppedClock::now);
    Client first(throttle, order_, 'a', {.bytes = 1, .operations = 1});
    Client second(throttle, order_, 'b', {.bytes = 1, .operations = 1});
    Client third(throttle, order_, 'c', {.bytes = 1, .operations = 1});
    first.want(5);
    second.want(3);
    third.want(3);
    for (std::size_t i = 2; i <= 11; ++i) {
        SteppedClock::advance(1us);
        run(i);
    }
    EXPECT_EQ(order_, "aabcabcabca");
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, WhoComesLaterDoesNotGoFirst) {
    Throttle throttle({.bytes = {.rate = kRate, .burst = 100}}, loop_, SteppedClock::now);
    Client large(throttle, order_, 'l', {.bytes = 100, .operations = 1});
    Client small(throttle, order_, 's', {.bytes = 1, .operations = 1});
    large.want(2);
    SteppedClock::advance(50us);
    small.want(1);
    take({{0us, 1}, {50us, 2}, {1us, 3}});
    EXPECT_EQ(order_, "lls");
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, WhoLeavesIsNotCalledAndTheTimerEndsAtOnce) {
    Throttle throttle({.operations = {.rate = 1, .burst = 1}}, loop_, SteppedClock::now);
    throttle.on_idle([](void* count) noexcept { ++*static_cast<int*>(count); }, &idle_);
    Client client(throttle, order_, 'a', {.bytes = 0, .operations = 1});
    client.leave();
    EXPECT_TRUE(throttle.idle());
    client.want(2);
    loop_.run_ready();
    EXPECT_FALSE(throttle.idle());
    client.leave();
    run_until_idle(throttle);  // the timer was one of a second
    EXPECT_EQ(idle_, 1);
    EXPECT_EQ(order_, "a");
    SteppedClock::advance(2s);
    client.want(1);
    EXPECT_EQ(order_, "aa");
}

TEST_F(ThrottleTest, WhoComesBackWhileTheTimerIsCancelledIsServed) {
    Throttle throttle({.operations = {.rate = kRate, .burst = 1}}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 0, .operations = 1});
    client.want(2);
    loop_.run_ready();
    client.leave();
    client.want(1);
    SteppedClock::advance(1us);
    run(2);
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, TheLoopCanStopWhileSomebodyWaits) {
    Throttle throttle({.operations = {.rate = 1, .burst = 1}}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 0, .operations = 1});
    client.want(2);
    loop_.stop();
    loop_.run();
    EXPECT_TRUE(client.waits);
    client.leave();
    EXPECT_TRUE(throttle.idle());
}

TEST_F(ThrottleTest, OthersOnTheLoopAreServedBetweenMany) {
    Throttle throttle({.operations = {.rate = kRate, .burst = 5000}}, loop_, SteppedClock::now);
    Client first(throttle, order_, 'a', {.bytes = 0, .operations = 1});
    Client second(throttle, order_, 'b', {.bytes = 0, .operations = 1});
    first.want(5000);
    first.want(2000);
    second.want(2000);
    SteppedClock::advance(1h);
    std::size_t largest = 0;
    for (std::size_t before = order_.size(); order_.size() < 9000; before = order_.size()) {
        loop_.run_ready();
        largest = std::max(largest, order_.size() - before);
    }
    EXPECT_LT(largest, 1000U);
    run_until_idle(throttle);
}

TEST_F(ThrottleTest, WaitingNeedsNoAllocation) {
    Throttle throttle({.operations = {.rate = kRate, .burst = 1}}, loop_, SteppedClock::now);
    Client client(throttle, order_, 'a', {.bytes = 0, .operations = 1});
    loop_.run_ready();
    const test::AllocationCounter counter;
    client.want(2);
    SteppedClock::advance(1us);
    while (client.left != 0) {
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
}

TEST(RateLimits, WhatNoBucketTakesIsRefusedByName) {
    const auto refusal = [](const RateLimits& limits) -> std::string {
        try {
            validate(limits, "--disk");
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input);
            return error.what();
        }
        return {};
    };
    EXPECT_EQ(refusal({}), "");
    EXPECT_EQ(refusal({.bytes = {.rate = TokenBucket::kMaxRate, .burst = TokenBucket::kMaxBurst},
                       .operations = {.rate = 1, .burst = 1}}),
              "");
    EXPECT_EQ(refusal({.bytes = {.rate = TokenBucket::kMaxRate + 1}}),
              "--disk: rate=17179869185: more than any limit can be; give at most 17179869184, or "
              "leave it out for no limit");
    EXPECT_EQ(refusal({.operations = {.burst = 3}}),
              "--disk: ops-burst=3: there is no ops for it; give one");
    EXPECT_EQ(refusal({.bytes = {.rate = 1, .burst = TokenBucket::kMaxBurst + 1}}),
              "--disk: rate-burst=1152921504606846977: give at most 1152921504606846976");
}

}  // namespace
}  // namespace cxlvm
