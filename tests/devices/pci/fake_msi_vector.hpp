// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "devices/msi.hpp"

namespace cxlvm::pci {

/// Remembers what it was told and what was sent. Any thread.
class FakeMsiVector final : public MsiVector {
  public:
    void route(const std::optional<MsiMessage>& message) noexcept override {
        const std::lock_guard lock(mutex_);
        ++routes_;
        message_ = message;
    }
    void fire() noexcept override {
        const std::lock_guard lock(mutex_);
        ++(message_ ? sent_ : lost_);
    }
    [[nodiscard]] int share() noexcept override { return kShared; }
    /// In place of a descriptor.
    static constexpr int kShared = 12345;

    [[nodiscard]] std::optional<MsiMessage> message() const {
        const std::lock_guard lock(mutex_);
        return message_;
    }
    /// Calls of route(), and messages sent, since this was last called.
    [[nodiscard]] std::size_t take_routes() {
        const std::lock_guard lock(mutex_);
        return std::exchange(routes_, 0);
    }
    [[nodiscard]] std::size_t take_sent() {
        const std::lock_guard lock(mutex_);
        return std::exchange(sent_, 0);
    }
    /// What was fired without a route.
    [[nodiscard]] std::size_t lost() const {
        const std::lock_guard lock(mutex_);
        return lost_;
    }

  private:
    mutable std::mutex mutex_;
    std::optional<MsiMessage> message_;
    std::size_t routes_ = 0;
    std::size_t sent_ = 0;
    std::size_t lost_ = 0;
};

/// Several of them, as a function takes them.
class FakeMsiVectors {
  public:
    explicit FakeMsiVectors(std::size_t count) : vectors_(count) {
        for (FakeMsiVector& vector : vectors_) {
            pointers_.push_back(&vector);
        }
    }
    [[nodiscard]] const std::vector<MsiVector*>& pointers() const { return pointers_; }
    FakeMsiVector& operator[](std::size_t index) { return vectors_[index]; }

  private:
    std::vector<FakeMsiVector> vectors_;
    std::vector<MsiVector*> pointers_;
};

}  // namespace cxlvm::pci
