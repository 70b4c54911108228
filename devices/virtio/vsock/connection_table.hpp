// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "devices/virtio/vsock/connection.hpp"
#include "io/event_loop.hpp"
#include "io/mapping.hpp"

namespace cxlvm::virtio::vsock {

/// All connections that there can be, and their names. The loop's thread.
class ConnectionTable {
  public:
    static constexpr std::size_t kConnections = 256;

    /// Makes them all. Their buffers are pages that are not there until a host's reader is slow.
    ConnectionTable(io::EventLoop& loop, Connection::Owner& owner, std::uint32_t guest_cid);

    [[nodiscard]] Connection* find(Ports ports) noexcept;
    [[nodiscard]] bool full() const noexcept { return free_.empty(); }
    [[nodiscard]] bool empty() const noexcept { return free_.size() == kConnections; }
    /// One that is free. There must be one.
    [[nodiscard]] Connection& take() noexcept;
    void give_back(Connection& connection) noexcept { free_.push_back(connection.number()); }

    /// From now on find() finds it.
    void attach(const Connection& connection, Ports ports) noexcept;
    void detach(const Connection& connection) noexcept;
    /// A port of the host's with which `guest_port` makes a name that is not in use.
    [[nodiscard]] std::uint32_t choose_host_port(std::uint32_t guest_port) noexcept;

    template <typename Visit>
    void for_each(Visit&& visit) {
        for (const auto& connection : connections_) {
            visit(*connection);
        }
    }

  private:
    io::Mapping buffers_;
    std::vector<std::unique_ptr<Connection>> connections_;
    /// By number, one after the other: looking all through takes less than any tree or chain.
    std::vector<std::uint64_t> names_;
    std::vector<std::uint16_t> free_;
    std::uint32_t next_host_port_;
};

}  // namespace cxlvm::virtio::vsock
