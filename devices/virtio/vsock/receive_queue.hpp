// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/circular_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/vsock/connection.hpp"
#include "devices/virtio/vsock/packet.hpp"

namespace cxlvm::virtio::vsock {

/// Packets to the guest: whoever has one waits for its turn, and gets one buffer of the guest's a
/// turn. The loop's thread.
class ReceiveQueue {
  public:
    /// Resets of what belongs to no connection, which wait for a buffer of the guest's. More of
    /// them, and the guest's packets wait (virtio 1.2, 5.10.6.1).
    static constexpr std::size_t kReplies = 256;

    ReceiveQueue(std::size_t connections, std::uint16_t queue_size);

    /// From now on serves `ring`, which outlives this or close().
    void open(SplitQueue& ring) noexcept { ring_ = &ring; }
    /// Forgets all that waits.
    void close() noexcept;

    [[nodiscard]] bool replies_full() const noexcept { return replies_.full(); }
    /// There must be room.
    void reply(const PacketHeader& header) noexcept { replies_.push_back(header); }
    /// `connection` wants a turn, if it does not wait for one.
    void add(Connection& connection) noexcept;
    /// A chain that a connection has kept: holds so many bytes, or is unused.
    void give_back(const Chain& chain, std::uint32_t written) noexcept;
    /// Gives turns while there are buffers. What is used is to be published. A literal that says
    /// why the device cannot go on, or null.
    [[nodiscard]] const char* serve() noexcept;

  private:
    [[nodiscard]] std::optional<Chain> next_chain() noexcept;
    void write(const Chain& chain, const PacketHeader& header) noexcept;

    SplitQueue* ring_ = nullptr;
    const char* failure_ = nullptr;
    boost::circular_buffer<Connection*> turns_;
    boost::circular_buffer<PacketHeader> replies_;
    std::vector<Chain> spare_;  ///< taken from the ring, and not needed then
};

}  // namespace cxlvm::virtio::vsock
