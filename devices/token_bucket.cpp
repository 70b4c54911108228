// SPDX-License-Identifier: Apache-2.0
#include "devices/token_bucket.hpp"

#include <algorithm>

namespace cxlvm {

namespace {

constexpr std::uint64_t kBillion = 1'000'000'000;
// What comes in one second, in billionths, with a fraction on top.
static_assert(TokenBucket::kMaxRate <= (~std::uint64_t{0} - kBillion) / kBillion);

/// A request far beyond what any device can carry; so that a debt cannot overflow.
constexpr std::uint64_t kMaxCost = std::uint64_t{1} << 60;

std::uint64_t burst_of(const TokenBucket::Config& config) noexcept {
    const std::uint64_t burst =
        config.burst != 0 ? config.burst : std::max<std::uint64_t>(config.rate / 10, 1);
    return std::min(burst, TokenBucket::kMaxBurst);
}

}  // namespace

TokenBucket::TokenBucket(const Config& config, Time now) noexcept
    : rate_(std::min(config.rate, kMaxRate)),
      burst_(burst_of(config)),
      refilled_(now),
      level_(static_cast<std::int64_t>(burst_)) {}

void TokenBucket::refill(Time now) noexcept {
    if (now <= refilled_) {
        return;
    }
    const auto elapsed =
        static_cast<std::uint64_t>(std::chrono::nanoseconds(now - refilled_).count());
    refilled_ = now;
    const std::uint64_t seconds = elapsed / kBillion;
    const auto missing = static_cast<std::uint64_t>(static_cast<std::int64_t>(burst_) - level_);
    // Compared before it is multiplied.
    if (seconds <= missing / rate_) {
        const std::uint64_t billionths = elapsed % kBillion * rate_ + fraction_;
        const std::uint64_t tokens = seconds * rate_ + billionths / kBillion;
        if (tokens < missing) {
            level_ += static_cast<std::int64_t>(tokens);
            fraction_ = billionths % kBillion;
            return;
        }
    }
    level_ = static_cast<std::int64_t>(burst_);
    fraction_ = 0;
}

std::chrono::nanoseconds TokenBucket::until(std::uint64_t cost, Time now) noexcept {
    if (!limited() || cost == 0) {
        return {};
    }
    refill(now);
    const auto wanted = static_cast<std::int64_t>(std::min(cost, burst_));
    if (level_ >= wanted) {
        return {};
    }
    const auto missing = static_cast<std::uint64_t>(wanted - level_);
    // The last second's part, of one token at least, apart from the whole seconds in front of it.
    const std::uint64_t seconds = (missing - 1) / rate_;
    if (seconds >= static_cast<std::uint64_t>(kLongestWait.count())) {
        return kLongestWait;
    }
    const std::uint64_t billionths = ((missing - 1) % rate_ + 1) * kBillion - fraction_;
    return std::chrono::seconds(seconds) +
           std::chrono::nanoseconds((billionths + rate_ - 1) / rate_);
}

void TokenBucket::take(std::uint64_t cost) noexcept {
    if (limited()) {
        level_ -= static_cast<std::int64_t>(std::min(cost, kMaxCost));
    }
}

}  // namespace cxlvm
