// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/mac_address.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <charconv>
#include <system_error>

#include "io/error.hpp"

namespace cxlvm::virtio::net {

std::optional<MacAddress> parse_mac(std::string_view text) noexcept {
    constexpr std::size_t kStep = 3;  // two digits and a colon
    MacAddress mac;
    if (text.size() != kStep * mac.bytes.size() - 1) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < mac.bytes.size(); ++i) {
        const char* const digits = text.data() + kStep * i;
        const auto parsed = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
        const bool last = i + 1 == mac.bytes.size();
        if (parsed.ec != std::errc{} || parsed.ptr != digits + 2 || (!last && digits[2] != ':')) {
            return std::nullopt;
        }
    }
    return mac;
}

std::string to_string(const MacAddress& mac) {
    return fmt::format("{:02x}", fmt::join(mac.bytes, ":"));
}

MacAddress random_mac() {
    MacAddress mac;
    if (io::retry_eintr([&] { return ::getrandom(mac.bytes.data(), mac.bytes.size(), 0); }) < 0) {
        io::throw_errno("getrandom");
    }
    mac.bytes[0] = static_cast<std::uint8_t>((mac.bytes[0] & ~0x01U) | 0x02U);
    return mac;
}

}  // namespace cxlvm::virtio::net
