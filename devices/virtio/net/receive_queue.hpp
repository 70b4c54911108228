// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "devices/virtio/net/backend.hpp"
#include "devices/virtio/net/buffer_window.hpp"
#include "devices/virtio/net/net_queue.hpp"

namespace cxlvm::virtio::net {

/// Frames for the driver (5.1.6.3, 5.1.6.4), read from the port straight into its buffers.
///
/// How long a frame is shows when it has been read. So buffers for the longest are taken ahead, as
/// far as the driver has them, and a buffer of ours stands behind: what comes to lie there is
/// copied once the driver gives more.
class ReceiveQueue final : public NetQueue {
  public:
    /// `longest_frame` is what comes when nothing is segmented, in bytes.
    ReceiveQueue(Port& port, std::size_t longest_frame, io::EventLoop& loop, QueueOwner& owner);

    /// Whether the driver wants frames on this queue. The loop's thread.
    void use(bool used) noexcept;

  private:
    void serve() noexcept override;
    void on_open() noexcept override;
    void on_close() noexcept override;

    void take_buffers() noexcept;
    /// False: there is none.
    [[nodiscard]] bool add(const std::optional<Chain>& chain) noexcept;
    /// False: there is nothing to deliver, and serve() is called when that changes.
    [[nodiscard]] bool receive() noexcept;
    /// As above: false when the frame waits for buffers.
    [[nodiscard]] bool deliver() noexcept;
    void hand_over() noexcept;
    void write_num_buffers(std::uint16_t count) noexcept;
    [[nodiscard]] std::span<std::byte> overflow() const noexcept {
        return {overflow_.get(), Port::kMinRoom};
    }

    // Configuration.
    const std::size_t longest_frame_;
    // Wiring.
    Port& port_;
    // State.
    bool used_ = false;
    bool mergeable_ = false;
    std::uint64_t wanted_ = 0;    ///< bytes of buffers to have before a frame is read
    std::uint64_t frame_ = 0;     ///< bytes that were read and not delivered; 0: no frame is there
    std::uint64_t in_place_ = 0;  ///< those of them that are in the driver's buffers
    BufferWindow window_;
    std::unique_ptr<std::byte[]> overflow_;
};

}  // namespace cxlvm::virtio::net
