// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/console.hpp"

#include "vmm/builtin_guest/guest/machine.hpp"

namespace guest {
namespace {

constexpr std::uint16_t kData = 0x3f8;
constexpr std::uint16_t kLineStatus = kData + 5;
constexpr std::uint8_t kDataReady = 1U << 0;
constexpr std::uint8_t kTransmitterEmpty = 1U << 5;
constexpr unsigned kPatience = 2'000'000;  // polls, tens of seconds

}  // namespace

void Console::raw(std::uint8_t byte) {
    for (unsigned tries = 0; !gone_ && (in8(kLineStatus) & kTransmitterEmpty) == 0; ++tries) {
        gone_ = tries == kPatience;
    }
    if (!gone_) {
        out8(kData, byte);
    }
}

std::uint8_t Console::read() {
    while ((in8(kLineStatus) & kDataReady) == 0) {
        asm volatile("pause");
    }
    return in8(kData);
}

void Console::put(char c) {
    if (c == '\n') {
        raw('\r');
    }
    raw(static_cast<std::uint8_t>(c));
}

void Console::put(std::string_view text) {
    for (const char c : text) {
        put(c);
    }
}

void Console::put(Hex number) {
    for (int shift = 60; shift >= 0; shift -= 4) {
        if (number.value >> shift != 0 || static_cast<int>(number.digits) * 4 > shift) {
            put("0123456789abcdef"[number.value >> shift & 0xf]);
        }
    }
}

void Console::put(Column column) {
    put(column.text);
    for (std::size_t i = column.text.size(); i < column.width; ++i) {
        put(' ');
    }
}

void Console::put_decimal(std::uint64_t value) {
    std::uint64_t unit = 1;
    while (value / unit >= 10) {
        unit *= 10;
    }
    for (; unit != 0; unit /= 10) {
        put(static_cast<char>('0' + value / unit % 10));
    }
}

}  // namespace guest
