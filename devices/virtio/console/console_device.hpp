// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/character.hpp"
#include "devices/virtio/console/spec.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/loop_queue.hpp"
#include "io/event_loop.hpp"

namespace cxlvm::virtio::console {

/// In characters; 0 where it is not known.
struct ConsoleSize {
    std::uint16_t columns = 0;
    std::uint16_t rows = 0;
};

/// Spec:       virtio 1.2, 5.3.
/// Implements: one port, and its size where the host's end has one.
/// Deviates:   nothing beyond that: no further ports, no emergency write.
///
/// Nothing is copied but between guest memory and the host's end, and no byte is lost on the way:
/// output that the host has no room for stays in the driver's buffers, and input for which there is
/// no buffer stays with the host. A reset loses what the driver had not been told to be sent.
class ConsoleDevice final : public VirtioDevice, public CharacterDevice, private ChainServer {
  public:
    /// With a `size` the device offers it (VIRTIO_CONSOLE_F_SIZE), and set_size() may change it.
    /// All outlive this, which is destroyed when the loop does not run any longer.
    ConsoleDevice(CharacterHost& host_end, std::optional<ConsoleSize> size, io::EventLoop& loop);
    ConsoleDevice(const ConsoleDevice&) = delete;
    ConsoleDevice& operator=(const ConsoleDevice&) = delete;
    ~ConsoleDevice() override;

    [[nodiscard]] const char* name() const noexcept override { return "virtio console device"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Console; }
    [[nodiscard]] std::uint64_t features() const noexcept override {
        return has_size_ ? kFeatureSize : 0;
    }
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return kLimits; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return config_space_;
    }

    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override;
    void queue_notified(std::uint16_t queue) noexcept override;
    void reset() noexcept override;

    /// The terminal has another size now. Any thread, after attach(); no effect on a console
    /// without a size.
    void set_size(ConsoleSize size) noexcept;

    std::size_t receive(std::span<const std::byte> data) noexcept override;
    void output_ready() noexcept override;

  private:
    /// Chains that are served before the loop's other work has its turn.
    static constexpr std::uint16_t kRound = 64;
    // Linux sends what a pipe holds as one chain, a page each.
    static constexpr std::array<QueueLimits, kQueues> kLimits{{
        {.max_size = 64},
        {.max_size = 64, .max_segments = 1024},
    }};

    Turn serve(std::uint16_t queue, Chain& chain, std::uint32_t& written) noexcept override;
    [[nodiscard]] Turn fill(Chain& chain, std::uint32_t& written) noexcept;
    [[nodiscard]] Turn send(Chain& chain) noexcept;
    void on_reset() noexcept;

    // Configuration.
    const bool has_size_;
    const std::array<std::byte, sizeof(Config)> config_space_;
    // Wiring.
    CharacterHost& host_end_;
    io::EventLoop& loop_;
    DeviceHost* host_ = nullptr;
    io::Task reset_task_{io::Task::to<&ConsoleDevice::on_reset>(*this)};
    LoopQueue receive_;
    LoopQueue transmit_;
    // State. The loop's thread.
    std::span<const std::byte> input_;  ///< what is left of it; empty but within receive()
    bool input_refused_ = false;        ///< the host waits for input_ready(); survives a reset
};

}  // namespace cxlvm::virtio::console
