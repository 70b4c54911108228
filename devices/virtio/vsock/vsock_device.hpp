// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "devices/virtio/device.hpp"
#include "devices/virtio/vsock/connection_table.hpp"
#include "devices/virtio/vsock/receive_queue.hpp"
#include "devices/virtio/vsock/spec.hpp"
#include "devices/virtio/vsock/vsock_config.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "io/operations.hpp"
#include "io/unix_listener.hpp"

namespace cxlvm::virtio::vsock {

/// Spec:       virtio 1.2, 5.10.
/// Implements: stream sockets between the guest and unix sockets of the host's, with credit both
///             ways and halves that end on their own.
/// Deviates:   no seqpacket sockets. No event is ever sent: the transport is never reset while a
///             driver uses it (5.10.6.7).
///
/// A client that connects to the socket at `path` and sends "CONNECT PORT\n" reaches that port of
/// the guest's: it is answered "OK PORT\n", with the host's port, and the stream follows; when the
/// guest refuses, the socket is closed. What the guest connects to at the host's port P is whoever
/// listens at "PATH_P". At most ConnectionTable::kConnections at once, in both directions.
class VsockDevice final : public VirtioDevice, private Connection::Owner {
  public:
    /// Throws Error as UnixListener does, and Input for a cid out of range or a path too long for
    /// the sockets of the ports. All outlive this, which is destroyed when the loop does not run
    /// any longer. A connection that is half open for Connection::kPatience ticks ends.
    VsockDevice(const VsockConfig& config, io::EventLoop& loop, io::Log& log,
                std::chrono::milliseconds tick = std::chrono::seconds(1));
    VsockDevice(const VsockDevice&) = delete;
    VsockDevice& operator=(const VsockDevice&) = delete;
    ~VsockDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio socket device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Socket; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return kFeatureStream; }
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override;
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return config_space_;
    }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    void reset() noexcept override;

  private:
    // Connection::Owner.
    [[nodiscard]] Ports attach(Connection& connection, std::uint32_t guest_port) noexcept override;
    void want_turn(Connection& connection) noexcept override;
    void want_ticks() noexcept override;
    void give_back_sent(std::uint16_t head) noexcept override;
    void give_back_received(const Chain& chain, std::uint32_t written) noexcept override;
    void detached(Connection& connection) noexcept override;
    void freed(Connection& connection) noexcept override;

    void wake() noexcept;
    void on_wake() noexcept;
    void on_reset() noexcept;
    void on_client(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_tick(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    void begin() noexcept;
    void serve_transmit() noexcept;
    void serve_events() noexcept;
    void announce() noexcept;
    /// True: the chain is kept.
    [[nodiscard]] bool take_packet(const Chain& chain) noexcept;
    void take_request(const Packet& packet) noexcept;
    [[nodiscard]] io::Fd connect_to(std::uint32_t port) noexcept;
    void take_client(io::Fd client) noexcept;
    void fail(const char* why) noexcept;
    void finish_reset() noexcept;

    // Configuration.
    const std::uint32_t cid_;
    const std::chrono::milliseconds tick_length_;
    const std::array<std::byte, kConfigSize> config_space_;
    // Wiring.
    io::EventLoop& loop_;
    io::Log& log_;
    DeviceHost* host_ = nullptr;
    io::UnixListener listener_;
    io::Task wake_task_{io::Task::to<&VsockDevice::on_wake>(*this)};
    io::Task reset_task_{io::Task::to<&VsockDevice::on_reset>(*this)};
    // Accounting.
    io::RateLimit guest_log_limit_;
    io::RateLimit host_log_limit_;
    // State.
    std::atomic<bool> open_{false};
    std::atomic<bool> wake_posted_{false};
    std::span<SplitQueue> queues_;  ///< written while closed, read while open
    // The loop's thread.
    bool begun_ = false;  ///< since it was opened
    bool failed_ = false;
    bool resetting_ = false;
    ReceiveQueue receive_queue_;
    ConnectionTable connections_;
    io::AcceptOp accept_{io::Completion::to<&VsockDevice::on_client>(*this)};
    io::TimeoutOp tick_{io::Completion::to<&VsockDevice::on_tick>(*this)};
};

}  // namespace cxlvm::virtio::vsock
