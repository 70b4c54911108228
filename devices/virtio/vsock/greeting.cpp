// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/greeting.hpp"

#include <algorithm>
#include <charconv>

#include "devices/virtio/vsock/packet.hpp"

namespace cxlvm::virtio::vsock {

std::span<char> Greeting::room() noexcept {
    const std::size_t size = used_ < kShortest ? kShortest - used_ : 1;
    return std::span(line_).subspan(used_, std::min(size, line_.size() - used_));
}

Greeting::Result Greeting::take(std::size_t count) noexcept {
    used_ += count;
    const std::string_view line(line_.data(), used_);
    if (line.back() != '\n') {
        const bool long_enough = used_ == line_.size();
        return long_enough || line.find('\n') != line.npos ? Result::Bad : Result::More;
    }
    if (!line.starts_with(kVerb)) {
        return Result::Bad;
    }
    const std::string_view digits = line.substr(kVerb.size(), line.size() - kVerb.size() - 1);
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, port_);
    return error == std::errc() && stop == end && port_ != kAnyPort ? Result::Good : Result::Bad;
}

std::span<char> write_answer(std::uint32_t port, std::span<char, kAnswerSize> room) noexcept {
    constexpr std::string_view kOk = "OK ";
    char* const digits = std::copy(kOk.begin(), kOk.end(), room.data());
    // The longest number, and the line's end, just fit.
    char* const end = std::to_chars(digits, room.data() + room.size() - 1, port).ptr;
    *end = '\n';
    return room.first(static_cast<std::size_t>(end + 1 - room.data()));
}

}  // namespace cxlvm::virtio::vsock
