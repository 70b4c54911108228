// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cxlvm::virtio::net {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};
    bool operator==(const MacAddress&) const = default;

    /// Whether an interface can have it: for one receiver, and not all zeros.
    [[nodiscard]] bool usable() const noexcept {
        return (bytes[0] & 1U) == 0 && bytes != decltype(bytes){};
    }
};

/// Six bytes of two hexadecimal digits each, with colons between them.
[[nodiscard]] std::optional<MacAddress> parse_mac(std::string_view text) noexcept;
[[nodiscard]] std::string to_string(const MacAddress& mac);

/// A random one, marked as locally administered. Throws Error.
[[nodiscard]] MacAddress random_mac();

}  // namespace cxlvm::virtio::net
