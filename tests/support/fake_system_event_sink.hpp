// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <vector>

#include "devices/system_event.hpp"

namespace cxlvm::test {

/// Keeps the events in order. Any thread.
class FakeSystemEventSink final : public SystemEventSink {
  public:
    void raise(SystemEvent event) noexcept override {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
    }

    [[nodiscard]] std::vector<SystemEvent> events() const {
        const std::lock_guard lock(mutex_);
        return events_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<SystemEvent> events_;
};

}  // namespace cxlvm::test
