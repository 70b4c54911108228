// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/virtio/device.hpp"
#include "devices/virtio/net/backend.hpp"
#include "devices/virtio/net/control_queue.hpp"
#include "devices/virtio/net/net_config.hpp"
#include "devices/virtio/net/receive_queue.hpp"
#include "devices/virtio/net/spec.hpp"
#include "devices/virtio/net/transmit_queue.hpp"
#include "devices/virtio/net/vhost.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"

namespace cxlvm::virtio::net {

/// Spec:       virtio 1.2, 5.1.
/// Implements: merged receive buffers, checksum and segmentation offloads as the backend has them,
///             several pairs of queues, link status, MTU, and the commands for pairs and offloads.
///             The kernel may serve the pairs (vhost).
/// Deviates:   frames are not filtered by address or VLAN: what the backend gives, the driver gets.
class NetDevice final : public VirtioDevice, private QueueOwner {
  public:
    /// Throws Error as check() and open_backend() do. All outlive this, which is destroyed when the
    /// loop does not run any longer.
    NetDevice(const NetConfig& config, io::EventLoop& loop, io::Log& log);
    /// With a backend that is open. `config` is used for what the guest sees, and for vhost.
    NetDevice(const NetConfig& config, std::unique_ptr<Backend> backend, io::EventLoop& loop,
              io::Log& log, VhostCalls& calls = vhost_calls());
    NetDevice(const NetDevice&) = delete;
    NetDevice& operator=(const NetDevice&) = delete;
    ~NetDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio network device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Network; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return features_; }
    [[nodiscard]] bool accepts(std::uint64_t features) const noexcept override;
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return limits_; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return config_space_;
    }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    void interrupts_changed() noexcept override;
    void reset() noexcept override;

    /// Plugs the cable in, as it is at first, or pulls it: no frames come or go meanwhile. A link
    /// whose other end has gone stays down. Any thread, after attach().
    void set_link(bool up) noexcept;

  private:
    // QueueOwner.
    [[nodiscard]] bool link_up() const noexcept override { return plugged_ && !ended_; }
    void port_ended(int error) noexcept override;
    void queue_quiet() noexcept override;
    [[nodiscard]] bool use_pairs(unsigned pairs) noexcept override;
    [[nodiscard]] bool use_guest_offloads(std::uint64_t features) noexcept override;

    struct Pair {
        Pair(Port& port, std::size_t longest_frame, io::EventLoop& loop, QueueOwner& owner)
            : receive(port, longest_frame, loop, owner), transmit(port, loop, owner) {}
        ReceiveQueue receive;
        TransmitQueue transmit;
    };

    void on_open() noexcept;
    void on_reset() noexcept;
    void on_link() noexcept;
    void link_changed() noexcept;
    void publish_link() noexcept;
    [[nodiscard]] bool open_queues() noexcept;
    /// Frames come and go by the pairs in use, while the link is up.
    void settle_use() noexcept;
    [[nodiscard]] bool has(std::uint64_t feature) const noexcept {
        return (activation_.features & feature) != 0;
    }
    template <typename Function>
    void for_each_queue(Function&& function);

    // Configuration.
    const std::unique_ptr<Backend> backend_;
    const std::uint64_t features_;
    const std::vector<QueueLimits> limits_;
    const std::array<std::byte, kConfigSize> config_space_;
    // Wiring.
    io::EventLoop& loop_;
    io::Log& log_;
    DeviceHost* host_ = nullptr;
    io::Task open_task_{io::Task::to<&NetDevice::on_open>(*this)};
    io::Task reset_task_{io::Task::to<&NetDevice::on_reset>(*this)};
    io::Task link_task_{io::Task::to<&NetDevice::on_link>(*this)};
    // What other threads leave for the loop's.
    std::atomic<bool> link_wanted_{true};
    std::atomic<bool> link_posted_{false};
    std::atomic<std::uint16_t> control_number_{0};  ///< 0: there is none
    // State. The activation is written while closed.
    Activation activation_;
    bool plugged_ = true;
    bool ended_ = false;  ///< survives resets: the other end is gone
    bool resetting_ = false;
    std::size_t used_pairs_ = 0;
    const std::unique_ptr<Vhost> vhost_;  ///< serves the pairs, if there is one
    std::vector<std::unique_ptr<Pair>> pairs_;
    ControlQueue control_;
};

}  // namespace cxlvm::virtio::net
