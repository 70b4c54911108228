// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace cxlvm::test {

/// Takes the input apart; zeros once it is used up.
class Script {
  public:
    explicit Script(std::span<const std::uint8_t> data) : data_(data) {}
    [[nodiscard]] bool done() const { return data_.empty(); }
    std::uint8_t next() {
        if (data_.empty()) {
            return 0;
        }
        const std::uint8_t value = data_.front();
        data_ = data_.subspan(1);
        return value;
    }
    std::uint16_t next16() {
        const std::uint8_t low = next();
        return static_cast<std::uint16_t>(low | next() << 8);
    }

  private:
    std::span<const std::uint8_t> data_;
};

}  // namespace cxlvm::test
