// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/virtio/balloon/balloon_config.hpp"
#include "devices/virtio/balloon/page_list.hpp"
#include "devices/virtio/balloon/spec.hpp"
#include "devices/virtio/balloon/statistics.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/loop_queue.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"
#include "io/operations.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio::balloon {

/// Spec:       virtio 1.2, 5.5.
/// Implements: inflating and deflating, statistics, deflating when memory runs out, free page
///             reporting.
/// Deviates:   no free page hints (they serve migration) and no page poison: Linux then reports no
///             free pages when it fills them with anything but zeros.
///
/// A page that the guest gives up goes back to the host (GuestMemory::discard()). The guest may
/// touch it again at any time, told or not, and finds zeros, or what the page held; never anything
/// of the host's. Deflating therefore needs nothing from us.
class BalloonDevice final : public VirtioDevice, private ChainServer {
  public:
    /// All outlive this, which is destroyed when the loop does not run any longer.
    BalloonDevice(const BalloonConfig& config, const GuestMemory& memory, io::EventLoop& loop,
                  io::Log& log);
    BalloonDevice(const BalloonDevice&) = delete;
    BalloonDevice& operator=(const BalloonDevice&) = delete;
    ~BalloonDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio balloon device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Balloon; }
    [[nodiscard]] std::uint64_t features() const noexcept override;
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override {
        return std::span(limits_).first(queue_count_);
    }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return config_space_;
    }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    [[nodiscard]] bool write_config(std::size_t offset,
                                    std::span<const std::byte> data) noexcept override;
    void reset() noexcept override;

    // Any thread.
    /// Asks the guest to give up, or to take back, memory until the balloon has this size: whole
    /// pages of `bytes`, at most all of RAM. A guest does it in its own time, or not at all. After
    /// attach().
    void set_target(std::uint64_t bytes) noexcept;
    /// Bytes of the balloon as the guest says.
    [[nodiscard]] std::uint64_t size() const noexcept {
        return std::uint64_t{actual_.load(std::memory_order_relaxed)} * kPageSize;
    }
    /// Bytes that went back to the host; the same page counts each time.
    [[nodiscard]] std::uint64_t discarded() const noexcept {
        return discarded_.load(std::memory_order_relaxed);
    }
    /// The latest report; nothing before the first one since the last reset.
    [[nodiscard]] std::optional<Statistics> statistics() const noexcept CXLVM_EXCLUDES(mutex_);

  private:
    enum class Role : std::uint8_t { None, Inflate, Deflate, Statistics, Reporting };
    using Roles = std::array<Role, kMaxQueues>;

    [[nodiscard]] Roles assign_roles(const Activation& activation) const noexcept;
    Turn serve(std::uint16_t queue, Chain& chain, std::uint32_t& written) noexcept override;
    [[nodiscard]] Turn inflate(Chain& chain) noexcept;
    [[nodiscard]] Turn discard_reported(Chain& chain) noexcept;
    [[nodiscard]] Turn take_statistics(const Chain& chain) noexcept CXLVM_EXCLUDES(mutex_);
    void on_poll(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_reset() noexcept;
    void end_reset() noexcept CXLVM_EXCLUDES(mutex_);
    void discard(std::span<std::byte> host) noexcept;

    // Configuration.
    const BalloonConfig configuration_;
    const std::array<QueueLimits, kMaxQueues> limits_;
    const std::size_t queue_count_;
    const std::array<std::byte, kConfigSize> config_space_;
    // Wiring.
    const GuestMemory& memory_;
    io::EventLoop& loop_;
    io::Log& log_;
    DeviceHost* host_ = nullptr;
    io::Task reset_task_{io::Task::to<&BalloonDevice::on_reset>(*this)};
    std::array<LoopQueue, kMaxQueues> queues_;
    // Accounting.
    io::RateLimit log_limit_;
    std::atomic<std::uint64_t> discarded_{0};
    // State.
    std::atomic<std::uint32_t> actual_{0};  ///< as the driver wrote it
    mutable io::Mutex mutex_;
    std::optional<Statistics> statistics_ CXLVM_GUARDED_BY(mutex_);
    Roles roles_{};  ///< written while closed, read by the loop's thread while open
    // The loop's thread.
    bool resetting_ = false;
    bool poll_due_ = false;  ///< the driver's buffer is to be given back, for the next report
    bool asked_ = false;     ///< the next report is one that we have asked for
    PageBatch batch_;
    io::TimeoutOp poll_{io::Completion::to<&BalloonDevice::on_poll>(*this)};
};

}  // namespace cxlvm::virtio::balloon
