// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace cxlvm {

/// Tells the time of day. An interface, so that tests can turn the hands.
class WallClock {
  public:
    /// Seconds since 1970-01-01 00:00:00 UTC. Any thread; never blocks.
    virtual std::int64_t now() noexcept = 0;

  protected:
    WallClock() = default;
    WallClock(const WallClock&) = default;
    WallClock& operator=(const WallClock&) = default;
    ~WallClock() = default;
};

/// The host's clock.
class HostWallClock final : public WallClock {
  public:
    std::int64_t now() noexcept override {
        const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
        return std::chrono::floor<std::chrono::seconds>(since_epoch).count();
    }
};

}  // namespace cxlvm
