// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <mutex>
#include <span>
#include <string>

#include "devices/character.hpp"

namespace cxlvm::test {

/// A host end that keeps what it is given, and takes no more than it has been told to have room
/// for. Any thread.
class FakeCharacterHost final : public CharacterHost {
  public:
    static constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

    std::size_t write(std::span<const std::byte> data) noexcept override {
        const std::lock_guard lock(mutex_);
        ++writes_;
        const std::size_t taken = std::min(data.size(), room_);
        for (const std::byte value : data.first(taken)) {
            output_.push_back(static_cast<char>(value));
        }
        if (room_ != kUnlimited) {
            room_ -= taken;
        }
        return taken;
    }
    void input_ready() noexcept override {
        const std::lock_guard lock(mutex_);
        ++input_ready_calls_;
    }

    void set_room(std::size_t room) {
        const std::lock_guard lock(mutex_);
        room_ = room;
    }
    [[nodiscard]] std::string output() const {
        const std::lock_guard lock(mutex_);
        return output_;
    }
    void reserve(std::size_t size) { output_.reserve(size); }
    [[nodiscard]] std::size_t writes() const {
        const std::lock_guard lock(mutex_);
        return writes_;
    }
    [[nodiscard]] std::size_t input_ready_calls() const {
        const std::lock_guard lock(mutex_);
        return input_ready_calls_;
    }

  private:
    mutable std::mutex mutex_;
    std::string output_;
    std::size_t room_ = kUnlimited;
    std::size_t writes_ = 0;
    std::size_t input_ready_calls_ = 0;
};

}  // namespace cxlvm::test
