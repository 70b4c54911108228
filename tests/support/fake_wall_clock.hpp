// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "devices/legacy/wall_clock.hpp"

namespace cxlvm::test {

/// A clock that stands where it is put.
class FakeWallClock final : public WallClock {
  public:
    explicit FakeWallClock(std::int64_t now) noexcept : now_(now) {}
    std::int64_t now() noexcept override { return now_; }
    void advance(std::int64_t seconds) noexcept { now_ += seconds; }

  private:
    std::int64_t now_;
};

}  // namespace cxlvm::test
