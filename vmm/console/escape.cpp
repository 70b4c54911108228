// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/escape.hpp"

#include <utility>

namespace cxlvm {

namespace {
constexpr std::byte kControlA{0x01};
}

EscapeFilter::Result EscapeFilter::feed(std::byte key) noexcept {
    if (!std::exchange(escaped_, false)) {
        if (key == kControlA) {
            escaped_ = true;
            return {};
        }
        return {.count = 1, .bytes = {key}};
    }
    switch (std::to_integer<char>(key)) {
        case 'x':
            return {.command = Command::Quit};
        case 'h':
            return {.command = Command::Help};
        case '\x01':
            return {.count = 1, .bytes = {kControlA}};
        default:
            return {.count = 2, .bytes = {kControlA, key}};
    }
}

}  // namespace cxlvm
