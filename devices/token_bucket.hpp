// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace cxlvm {

/// Tokens that come at a rate and are kept up to a burst. Arithmetic alone, in whole numbers and
/// without an error that adds up: in any time t no more than rate * t + burst are taken, but for
/// the last taker's debt.
class TokenBucket {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::uint64_t kMaxRate = std::uint64_t{16} << 30;
    static constexpr std::uint64_t kMaxBurst = std::uint64_t{1} << 60;
    /// Longer than this nobody is told to wait before asking again.
    static constexpr std::chrono::seconds kLongestWait{3600};

    struct Config {
        std::uint64_t rate = 0;   ///< tokens a second, up to kMaxRate; 0: no limit
        std::uint64_t burst = 0;  ///< up to kMaxBurst; 0: what comes in 100 ms, 1 at least
        friend bool operator==(const Config&, const Config&) = default;
    };

    /// Full.
    TokenBucket(const Config& config, Time now) noexcept;

    [[nodiscard]] bool limited() const noexcept { return rate_ != 0; }
    /// How long until `cost` tokens may be taken; 0: now. Whoever wants more than the burst waits
    /// for a full bucket, and whoever wants none for nothing.
    [[nodiscard]] std::chrono::nanoseconds until(std::uint64_t cost, Time now) noexcept;
    /// How long until tokens are lost, when nobody takes any.
    [[nodiscard]] std::chrono::nanoseconds until_full(Time now) noexcept {
        return until(kMaxBurst, now);
    }
    /// Takes what until() has just allowed. What is not there is owed: it has to come, too, before
    /// the next token can be taken.
    void take(std::uint64_t cost) noexcept;

  private:
    void refill(Time now) noexcept;

    // Configuration.
    std::uint64_t rate_;
    std::uint64_t burst_;
    // State.
    Time refilled_;
    std::int64_t level_;          ///< below 0: owed
    std::uint64_t fraction_ = 0;  ///< of a token, in billionths
};

}  // namespace cxlvm
