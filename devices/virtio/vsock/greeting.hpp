// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace cxlvm::virtio::vsock {

/// What a client on the host's socket begins with: "CONNECT PORT\n", the port in decimal. The
/// stream follows behind the line, so it is read in pieces that cannot go past it.
class Greeting {
  public:
    enum class Result : std::uint8_t { More, Good, Bad };

    /// Where the next bytes go; not empty until take() has said Good or Bad.
    [[nodiscard]] std::span<char> room() noexcept;
    /// So many bytes of room() have been read, at least one.
    [[nodiscard]] Result take(std::size_t count) noexcept;
    /// After Good.
    [[nodiscard]] std::uint32_t port() const noexcept { return port_; }

  private:
    static constexpr std::string_view kVerb = "CONNECT ";
    static constexpr std::size_t kShortest = kVerb.size() + 2;
    static constexpr std::size_t kLongest = kVerb.size() + 11;

    std::array<char, kLongest> line_{};
    std::size_t used_ = 0;
    std::uint32_t port_ = 0;
};

/// "OK PORT\n", written to the start of `room`: what a client is answered when the guest accepts.
inline constexpr std::size_t kAnswerSize = 16;
[[nodiscard]] std::span<char> write_answer(std::uint32_t port,
                                           std::span<char, kAnswerSize> room) noexcept;

}  // namespace cxlvm::virtio::vsock
