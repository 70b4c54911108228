// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "devices/irq.hpp"

namespace cxlvm::test {

/// Counts pulses and keeps the level. Any thread.
class FakeIrqLine final : public IrqLine {
  public:
    void pulse() noexcept override { ++pulses_; }
    void set(bool level) noexcept override { level_ = level; }

    [[nodiscard]] std::uint64_t pulses() const noexcept { return pulses_; }
    [[nodiscard]] bool level() const noexcept { return level_; }
    /// Pulses since this was last called.
    [[nodiscard]] std::uint64_t take_pulses() noexcept { return pulses_.exchange(0); }

  private:
    std::atomic<std::uint64_t> pulses_{0};
    std::atomic<bool> level_{false};
};

}  // namespace cxlvm::test
