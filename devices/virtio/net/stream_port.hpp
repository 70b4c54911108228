// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/virtio/net/backend.hpp"
#include "io/fd.hpp"

namespace cxlvm::virtio::net {

/// Frames through a stream socket, as passt(1) and QEMU's stream backend speak: each behind its
/// length, four bytes, big-endian. There are no offloads.
///
/// Frames lie in the driver's memory while they are read and written, in parts if need be. The end
/// of one and the length of the next come with one system call.
class StreamPort final : public Port {
  public:
    explicit StreamPort(io::Fd socket);

    [[nodiscard]] int fd() const noexcept override { return socket_.get(); }
    [[nodiscard]] std::int64_t receive(std::span<const iovec> room) noexcept override;
    [[nodiscard]] bool receiving() const noexcept override { return received_ != 0; }
    void abandon_receive() noexcept override;
    [[nodiscard]] int send(std::span<const iovec> frame) noexcept override;
    void abandon_send(std::span<const iovec> frame) noexcept override;

  private:
    /// Longer ones are none that passt would send or take.
    static constexpr std::size_t kMaxLength = 65535;
    using Length = std::array<std::byte, 4>;

    [[nodiscard]] std::int64_t read(std::span<iovec> segments) noexcept;
    /// Reads what stands in front of a frame. 1, or what receive() returns while there is none.
    [[nodiscard]] std::int64_t read_length() noexcept;
    [[nodiscard]] std::int64_t read_frame(std::span<const iovec> room) noexcept;
    [[nodiscard]] int write(std::span<iovec> segments, std::size_t bytes,
                            std::size_t& sent) noexcept;
    [[nodiscard]] std::span<iovec> with_length(std::span<const iovec> frame) noexcept;

    io::Fd socket_;
    std::vector<iovec> segments_;  ///< of one call
    // Receiving.
    Length length_{};               ///< of the frame in work, or as far as it is known
    std::size_t length_bytes_ = 0;  ///< of length_
    std::size_t received_ = 0;      ///< bytes of the frame in work
    std::size_t unwanted_ = 0;      ///< bytes of a frame that was given up
    // Sending.
    Length length_to_send_{};
    std::size_t sent_ = 0;  ///< of length and frame
    std::unique_ptr<std::byte[]>
        rest_;  ///< of a frame that was given up: the other end waits for it
    std::size_t rest_begin_ = 0;
    std::size_t rest_end_ = 0;
};

}  // namespace cxlvm::virtio::net
