// SPDX-License-Identifier: Apache-2.0
#include "devices/throttle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/error.hpp"

namespace cxlvm {

namespace {

/// One timer then serves many requests.
constexpr std::chrono::milliseconds kShortWait{1};
/// Turns that are served at once; then the loop's other work comes first.
constexpr unsigned kTurns = 64;

void validate(const TokenBucket::Config& config, std::string_view option, std::string_view key) {
    if (config.rate > TokenBucket::kMaxRate) {
        io::throw_input(
            fmt::format("{}: {}={}: more than any limit can be; give at most {}, or "
                        "leave it out for no limit",
                        option, key, config.rate, TokenBucket::kMaxRate));
    }
    if (config.burst > TokenBucket::kMaxBurst) {
        io::throw_input(fmt::format("{}: {}-burst={}: give at most {}", option, key, config.burst,
                                    TokenBucket::kMaxBurst));
    }
    if (config.burst != 0 && config.rate == 0) {
        io::throw_input(fmt::format("{}: {}-burst={}: there is no {} for it; give one", option, key,
                                    config.burst, key));
    }
}

/// How long to wait for `cost`: a little longer than need be, as long as no token is lost by that.
std::chrono::nanoseconds pause(TokenBucket& bucket, std::uint64_t cost,
                               TokenBucket::Time now) noexcept {
    const auto least = bucket.until(cost, now);
    if (least.count() == 0) {
        return least;
    }
    return std::max(least, std::min<std::chrono::nanoseconds>(kShortWait, bucket.until_full(now)));
}

}  // namespace

void validate(const RateLimits& limits, std::string_view option) {
    validate(limits.bytes, option, "rate");
    validate(limits.operations, option, "ops");
}

Throttle::Throttle(const RateLimits& limits, io::EventLoop& loop, Clock clock) noexcept
    : limited_(limits.bytes.rate != 0 || limits.operations.rate != 0),
      loop_(loop),
      clock_(clock),
      bytes_(limits.bytes, clock()),
      operations_(limits.operations, clock()) {}

bool Throttle::pay(const Cost& cost) noexcept {
    const Time now = clock_();
    if (bytes_.until(cost.bytes, now).count() != 0 ||
        operations_.until(cost.operations, now).count() != 0) {
        return false;
    }
    bytes_.take(cost.bytes);
    operations_.take(cost.operations);
    return true;
}

bool Throttle::admit_limited(const Cost& cost, Waiter& waiter) noexcept {
    // Whoever came earlier goes first, also when this one's request is small enough.
    if (line_.empty() && pay(cost)) {
        return true;
    }
    waiter.cost_ = cost;
    line_.push_back(waiter);
    if (!serving_ && timer_.idle()) {
        start_timer();
    }
    return false;
}

void Throttle::leave(Waiter& waiter) noexcept {
    waiter.unlink();
    if (line_.empty() && !timer_.idle()) {
        timer_cancelled_ = true;
        loop_.cancel(timer_);
    }
}

void Throttle::serve() noexcept {
    serving_ = true;
    for (unsigned turns = kTurns; turns != 0 && !line_.empty(); --turns) {
        Waiter& first = line_.front();
        if (!pay(first.cost_)) {
            break;
        }
        first.unlink();
        first.function_(first.object_);
    }
    serving_ = false;
}

void Throttle::start_timer() noexcept {
    const Cost& cost = line_.front().cost_;
    const Time now = clock_();
    loop_.start(timer_.set(
        std::max(pause(bytes_, cost.bytes, now), pause(operations_, cost.operations, now))));
}

void Throttle::on_timer(std::int32_t /*result*/, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (timer_.cancel_requested() && !std::exchange(timer_cancelled_, false)) {
        return;  // the loop stops
    }
    timer_cancelled_ = false;
    serve();
    if (!line_.empty()) {
        start_timer();
    } else if (idle_function_ != nullptr) {
        idle_function_(idle_object_);
    }
}

}  // namespace cxlvm
