// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/virtio/device.hpp"
#include "devices/virtio/entropy/entropy_config.hpp"
#include "devices/virtio/entropy/entropy_source.hpp"
#include "devices/virtio/entropy/spec.hpp"
#include "devices/virtio/loop_queue.hpp"
#include "io/event_loop.hpp"
#include "io/file_operation.hpp"
#include "io/log.hpp"

namespace cxlvm::virtio::entropy {

/// Spec:       virtio 1.2, 5.4.
/// Implements: all of it.
/// Deviates:   a request is filled with kMaxBytes at most, however long it is (5.4.6.2 demands one
///             byte or more).
///
/// The bytes are the host kernel's, or a character device's. A device that ends or fails is given
/// up, with a warning, for the kernel's: a guest never waits for a source that is gone.
class EntropyDevice final : public VirtioDevice, private ChainServer {
  public:
    static constexpr std::size_t kMaxBytes = 4096;  ///< of one request
    /// Requests that are served before the loop's other work has its turn.
    static constexpr std::uint16_t kRound = 16;

    /// Throws Error as EntropySource does. `loop` and `log` outlive this, which is destroyed when
    /// the loop does not run any longer.
    EntropyDevice(const EntropyConfig& config, io::EventLoop& loop, io::Log& log);
    EntropyDevice(const EntropyDevice&) = delete;
    EntropyDevice& operator=(const EntropyDevice&) = delete;
    ~EntropyDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio entropy device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Entropy; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return 0; }
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return kLimits; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override { return {}; }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    void reset() noexcept override;

  private:
    static constexpr std::array<QueueLimits, kQueues> kLimits{{{.max_size = 64}}};

    Turn serve(std::uint16_t queue, Chain& chain, std::uint32_t& written) noexcept override;
    void on_reset() noexcept;
    void on_read(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void end_reset() noexcept;

    // Configuration.
    const EntropySource source_;
    // Wiring.
    io::EventLoop& loop_;
    io::Log& log_;
    DeviceHost* host_ = nullptr;
    io::Task reset_task_{io::Task::to<&EntropyDevice::on_reset>(*this)};
    LoopQueue requests_;
    // Accounting; survives a reset.
    bool source_failed_ = false;
    // State. The loop's thread.
    bool resetting_ = false;
    std::uint32_t read_bytes_ = 0;  ///< of the chain at hand; 0 while not read
    io::FileOp read_{io::Completion::to<&EntropyDevice::on_read>(*this)};
};

}  // namespace cxlvm::virtio::entropy
