// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "devices/virtio/vsock/spec.hpp"

namespace cxlvm::virtio::vsock {

/// Room for what the guest has sent on one connection and its host has not taken, in bytes: what
/// the guest is told as buf_alloc.
inline constexpr std::uint32_t kBufferSize = 64U << 10;

/// Who may send how much on one connection (virtio 1.2, 5.10.6.3). Counters are modulo 2^32.
class Credit {
  public:
    // From the guest to the host.
    /// Takes `size` bytes in; false when the guest had no credit for them.
    [[nodiscard]] bool take(std::uint32_t size) noexcept {
        if (size > kBufferSize - (received_ - forwarded_)) {
            return false;
        }
        received_ += size;
        return true;
    }
    /// `size` of the bytes taken have left the buffer.
    void forward(std::uint32_t size) noexcept { forwarded_ += size; }
    /// Whether so much has left the buffer since the guest last heard of it that it should. It is
    /// due at the latest when the buffer is empty and the guest thinks it is full.
    [[nodiscard]] bool update_due() const noexcept {
        return forwarded_ - announced_ >= kBufferSize / 4;
    }

    // From the host to the guest.
    void peer_says(std::uint32_t buf_alloc, std::uint32_t fwd_cnt) noexcept {
        peer_size_ = buf_alloc;
        peer_forwarded_ = fwd_cnt;
    }
    /// Bytes that the guest takes now. A guest may shrink its buffer below what is in flight, or
    /// claim what was never sent: then it takes nothing.
    [[nodiscard]] std::uint32_t room() const noexcept {
        const std::uint32_t in_flight = sent_ - peer_forwarded_;
        return in_flight < peer_size_ ? peer_size_ - in_flight : 0;
    }
    /// `size` bytes, at most room(), are on their way.
    void send(std::uint32_t size) noexcept { sent_ += size; }

    /// Says in a header to the guest where we are.
    void stamp(PacketHeader& header) noexcept {
        header.buf_alloc = kBufferSize;
        header.fwd_cnt = forwarded_;
        announced_ = forwarded_;
    }

  private:
    std::uint32_t received_ = 0;
    std::uint32_t forwarded_ = 0;
    std::uint32_t announced_ = 0;  ///< value of forwarded_ that the guest was told last
    std::uint32_t sent_ = 0;
    std::uint32_t peer_size_ = 0;
    std::uint32_t peer_forwarded_ = 0;
};

}  // namespace cxlvm::virtio::vsock
