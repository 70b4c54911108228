// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "devices/virtio/net/backend.hpp"
#include "devices/virtio/net/net_queue.hpp"

namespace cxlvm::virtio::net {

/// Frames of the driver (5.1.6.2), handed to the port where they lie. What cannot be sent is lost:
/// networks do that.
class TransmitQueue final : public NetQueue {
  public:
    TransmitQueue(Port& port, io::EventLoop& loop, QueueOwner& owner)
        : NetQueue(loop, owner), port_(port) {}

    /// Whether what the driver gives here is sent. The loop's thread.
    void use(bool used) noexcept { used_ = used; }

  private:
    void serve() noexcept override;
    void on_open() noexcept override { used_ = false; }
    void on_close() noexcept override;
    /// False: there is no more, and serve() is called when there is.
    [[nodiscard]] bool send_next() noexcept;

    // Wiring.
    Port& port_;
    // State.
    bool used_ = false;
    std::optional<Chain> frame_;  ///< the port has not taken it yet
};

}  // namespace cxlvm::virtio::net
