// SPDX-License-Identifier: Apache-2.0
#include "devices/token_bucket.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace cxlvm {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr TokenBucket::Time kStart{1000h};

/// Takes `cost` when it may be taken.
bool take(TokenBucket& bucket, std::uint64_t cost, TokenBucket::Time now) {
    if (bucket.until(cost, now) != 0ns) {
        return false;
    }
    bucket.take(cost);
    return true;
}

TEST(TokenBucket, GivesItsBurstAndThenWhatComes) {
    TokenBucket bucket({.rate = 10, .burst = 3}, kStart);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(take(bucket, 1, kStart));
    }
    EXPECT_EQ(bucket.until(1, kStart), 100ms);
    EXPECT_EQ(bucket.until(2, kStart), 200ms);
    EXPECT_EQ(bucket.until(1, kStart + 100ms - 1ns), 1ns);
    EXPECT_TRUE(take(bucket, 1, kStart + 100ms));
    EXPECT_EQ(bucket.until(1, kStart + 100ms), 100ms);
}

TEST(TokenBucket, KeepsNoMoreThanItsBurst) {
    TokenBucket bucket({.rate = 10, .burst = 3}, kStart);
    bucket.take(2);
    EXPECT_EQ(bucket.until_full(kStart), 200ms);
    EXPECT_EQ(bucket.until_full(kStart + 150ms), 50ms);
    const TokenBucket::Time later = kStart + 24h;
    EXPECT_EQ(bucket.until_full(later), 0ns);
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(take(bucket, 1, later));
    }
    EXPECT_FALSE(take(bucket, 1, later));
}

TEST(TokenBucket, WhoWantsMoreThanTheBurstWaitsUntilItIsFullAndOwesTheRest) {
    TokenBucket bucket({.rate = 100, .burst = 10}, kStart);
    EXPECT_TRUE(take(bucket, 3, kStart));
    EXPECT_EQ(bucket.until(50, kStart), 30ms);
    EXPECT_TRUE(take(bucket, 50, kStart + 30ms));
    EXPECT_EQ(bucket.until(1, kStart + 30ms), 410ms) << "40 are owed";
    EXPECT_EQ(bucket.until(50, kStart + 30ms), 500ms);
    EXPECT_EQ(bucket.until(0, kStart + 30ms), 0ns) << "nothing is free";
}

TEST(TokenBucket, LosesNoFractionHoweverOftenItIsAsked) {
    TokenBucket bucket({.rate = 3, .burst = 2}, kStart);
    EXPECT_TRUE(take(bucket, 2, kStart));
    int taken = 0;
    for (nanoseconds time = 1ms; time <= 100s; time += 1ms) {
        taken += take(bucket, 1, kStart + time) ? 1 : 0;
    }
    EXPECT_EQ(taken, 300);
    EXPECT_EQ(bucket.until(1, kStart + 100s), 333'333'334ns);
}

TEST(TokenBucket, TheWaitItNamesIsTheShortest) {
    std::mt19937_64 random(1);
    for (const std::uint64_t rate : {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{999'999'937},
                                     TokenBucket::kMaxRate - 1, TokenBucket::kMaxRate}) {
        TokenBucket bucket({.rate = rate, .burst = rate}, kStart);
        TokenBucket::Time now = kStart;
        for (int i = 0; i < 1000; ++i) {
            const std::uint64_t cost = 1 + random() % (2 * rate);
            if (const nanoseconds wait = bucket.until(cost, now); wait != 0ns) {
                TokenBucket early = bucket;
                ASSERT_EQ(early.until(cost, now + wait - 1ns), 1ns) << rate;
                now += wait;
            }
            ASSERT_TRUE(take(bucket, cost, now)) << rate;
            now += nanoseconds(random() % 1'000'000);
        }
    }
}

TEST(TokenBucket, HoldsItsRateAndReachesIt) {
    std::mt19937_64 random(2);
    constexpr std::uint64_t kRate = 1'000'003;
    constexpr std::uint64_t kLargest = 100'000;
    TokenBucket bucket({.rate = kRate, .burst = 5000}, kStart);
    std::uint64_t taken = 0;
    TokenBucket::Time now = kStart;
    while (now < kStart + 100s) {
        const std::uint64_t cost = 1 + random() % kLargest;
        now += bucket.until(cost, now);
        ASSERT_TRUE(take(bucket, cost, now));
        taken += cost;
    }
    EXPECT_GE(taken, kRate * 100);
    EXPECT_LE(taken, kRate * 101 + 5000 + kLargest);
}

TEST(TokenBucket, WithoutARateThereIsNoLimit) {
    TokenBucket bucket({}, kStart);
    EXPECT_FALSE(bucket.limited());
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(take(bucket, ~std::uint64_t{0}, kStart));
    }
}

TEST(TokenBucket, WithoutABurstItTakesATenthOfASecond) {
    TokenBucket bucket({.rate = 50}, kStart);
    for (int i = 0; i < 5; ++i) {
        EXPECT_TRUE(take(bucket, 1, kStart));
    }
    EXPECT_FALSE(take(bucket, 1, kStart));
    TokenBucket slow({.rate = 1}, kStart);
    EXPECT_TRUE(take(slow, 1, kStart));
    EXPECT_EQ(slow.until(1, kStart), 1s);
}

TEST(TokenBucket, IsRightAtTheEndsOfItsRange) {
    TokenBucket bucket({.rate = TokenBucket::kMaxRate, .burst = ~std::uint64_t{0}}, kStart);
    EXPECT_TRUE(take(bucket, ~std::uint64_t{0}, kStart));
    EXPECT_EQ(bucket.until(1, kStart), 1ns) << "the largest cost is the largest burst";
    EXPECT_EQ(bucket.until_full(kStart), TokenBucket::kLongestWait);
    EXPECT_TRUE(take(bucket, 1, kStart + 1ns));
    EXPECT_EQ(bucket.until_full(kStart + 200 * 365 * 24h), 0ns);

    TokenBucket slow({.rate = 1, .burst = 1}, kStart);
    EXPECT_TRUE(take(slow, ~std::uint64_t{0}, kStart));
    EXPECT_EQ(slow.until(1, kStart), TokenBucket::kLongestWait);
    EXPECT_EQ(slow.until(1, kStart + 1h), TokenBucket::kLongestWait);
}

TEST(TokenBucket, AClockThatGoesBackGivesNothing) {
    TokenBucket bucket({.rate = 10, .burst = 1}, kStart);
    EXPECT_TRUE(take(bucket, 1, kStart));
    EXPECT_EQ(bucket.until(1, kStart - 1h), 100ms);
    EXPECT_EQ(bucket.until(1, kStart + 50ms), 50ms);
}

}  // namespace
}  // namespace cxlvm
