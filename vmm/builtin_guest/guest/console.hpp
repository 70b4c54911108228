// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

namespace guest {

/// A number to be printed in hexadecimal, with at least `digits` digits and no prefix.
struct Hex {
    std::uint64_t value;
    unsigned digits = 1;
};
/// Text on the left of a column of `width`.
struct Column {
    std::string_view text;
    unsigned width;
};

/// The serial port at 0x3f8, polled. A port that never becomes ready is given up, so that the guest
/// still comes to its end.
class Console {
  public:
    template <typename... Parts>
    void print(const Parts&... parts) {
        (put(parts), ...);
    }
    /// A line of the report: its subject in the left column, or none to continue the last subject.
    template <typename... Parts>
    void line(std::string_view subject, const Parts&... parts) {
        print(Column{subject, kSubjectWidth}, parts..., '\n');
    }
    /// Bytes as they are: no carriage return in front of a line feed.
    void raw(std::uint8_t byte);
    /// A byte of input; waits for it.
    std::uint8_t read();

  private:
    static constexpr unsigned kSubjectWidth = 10;

    void put(char c);
    void put(std::string_view text);
    void put(const char* text) { put(std::string_view(text)); }
    template <std::unsigned_integral T>
    void put(T value) {
        put_decimal(value);
    }
    void put(Hex number);
    void put(Column column);
    void put_decimal(std::uint64_t value);

    bool gone_ = false;
};

}  // namespace guest
