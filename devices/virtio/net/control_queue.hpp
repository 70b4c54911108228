// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/virtio/net/net_queue.hpp"
#include "devices/virtio/net/spec.hpp"

namespace cxlvm::virtio::net {

/// The driver's commands (5.1.6.5): how many pairs of queues it uses, and what it takes
/// unsegmented.
class ControlQueue final : public NetQueue {
  public:
    using NetQueue::NetQueue;

  private:
    void serve() noexcept override;
    [[nodiscard]] Ack carry_out(std::span<iovec> request) noexcept;
};

}  // namespace cxlvm::virtio::net
