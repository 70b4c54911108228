// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/throttle.hpp"
#include "devices/virtio/block/block_config.hpp"
#include "devices/virtio/block/block_queue.hpp"
#include "devices/virtio/block/disk_file.hpp"
#include "devices/virtio/block/spec.hpp"
#include "devices/virtio/device.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"

namespace cxlvm::virtio::block {

/// Spec:       virtio 1.2, 5.2.
/// Implements: raw disks with flush, discard, write zeroes, get id, read-only and several queues.
/// Deviates:   the write cache cannot be switched by the driver (no CONFIG_WCE): it is on for a
///             driver that knows of flushes, and off for one that does not (5.2.5.2). Lifetime and
///             secure erase are not offered. The capacity is settled at construction, whatever
///             becomes of the file later.
///
/// A request that has been answered as flushed is on the host's disk (fdatasync(2)), and outlives
/// this process and the host's power.
class BlockDevice final : public VirtioDevice {
  public:
    static constexpr unsigned kMaxQueues = 64;

    /// Throws Error as DiskFile does, and Input for an id, a number of queues or rates out of
    /// range. All outlive this, which is destroyed when the loop does not run any longer. The clock
    /// is that of the rates.
    BlockDevice(const BlockConfig& config, io::EventLoop& loop, io::Log& log,
                Throttle::Clock clock = Throttle::monotonic);
    BlockDevice(const BlockDevice&) = delete;
    BlockDevice& operator=(const BlockDevice&) = delete;
    ~BlockDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio block device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Block; }
    [[nodiscard]] std::uint64_t features() const noexcept override;
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return limits_; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return config_space_;
    }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    void reset() noexcept override;

  private:
    void on_reset() noexcept;
    void on_quiet() noexcept;
    [[nodiscard]] bool all_quiet() const noexcept;

    // Configuration.
    const DiskFile disk_;
    const Zeros zeros_;
    const std::array<std::byte, kIdSize> id_;
    const std::vector<QueueLimits> limits_;
    const std::array<std::byte, kConfigSize> config_space_;
    // Wiring.
    io::EventLoop& loop_;
    DeviceHost* host_ = nullptr;
    io::Task reset_task_{io::Task::to<&BlockDevice::on_reset>(*this)};
    // Accounting.
    io::RateLimit log_limit_;
    // State.
    bool resetting_ = false;  ///< the loop's thread
    Throttle throttle_;
    std::vector<std::unique_ptr<BlockQueue>> queues_;
};

}  // namespace cxlvm::virtio::block
