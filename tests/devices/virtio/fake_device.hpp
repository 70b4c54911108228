// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/virtio/device.hpp"
#include "devices/virtio/interrupts.hpp"

namespace cxlvm::test {

/// A device of three queues that remembers what it was told, and resets when the test says so.
class FakeVirtioDevice final : public virtio::VirtioDevice {
  public:
    static constexpr std::uint64_t kFeatures =
        virtio::feature(0) | virtio::feature(5) | virtio::feature(50);

    [[nodiscard]] const char* name() const noexcept override { return "fake"; }
    [[nodiscard]] virtio::DeviceId id() const noexcept override { return virtio::DeviceId::Block; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return kFeatures; }
    /// Feature 5 needs feature 0.
    [[nodiscard]] bool accepts(std::uint64_t features) const noexcept override {
        return (features & virtio::feature(5)) == 0 || (features & virtio::feature(0)) != 0;
    }
    [[nodiscard]] std::span<const virtio::QueueLimits> queues() const noexcept override {
        return kQueues;
    }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return kConfig;
    }
    void attach(virtio::DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const virtio::Activation& activation) noexcept override {
        ++activations;
        active = activation;
        if (during_activate) {
            during_activate();
        }
        return can_work;
    }
    void queue_notified(std::uint16_t queue) noexcept override { notified.push_back(queue); }
    void interrupts_changed() noexcept override { ++interrupt_changes; }
    [[nodiscard]] bool write_config(std::size_t offset,
                                    std::span<const std::byte> /*data*/) noexcept override {
        return offset == 4;
    }
    void reset() noexcept override {
        ++resets;
        if (resets_at_once) {
            host_->reset_done();
        }
    }

    [[nodiscard]] virtio::DeviceHost& host() { return *host_; }
    [[nodiscard]] std::vector<std::uint16_t> take_notified() { return std::exchange(notified, {}); }

    bool can_work = true;
    bool resets_at_once = true;
    std::function<void()> during_activate;
    unsigned activations = 0;
    unsigned resets = 0;
    unsigned interrupt_changes = 0;
    std::optional<virtio::Activation> active;
    std::vector<std::uint16_t> notified;

  private:
    static constexpr std::array<virtio::QueueLimits, 3> kQueues = {
        {{.max_size = 8}, {.max_size = 16}, {.max_size = 8}}};
    static constexpr std::array<std::byte, 10> kConfig = {std::byte{0x11}, std::byte{0x22},
                                                          std::byte{0x33}, std::byte{0x44}};
    virtio::DeviceHost* host_ = nullptr;
};

class FakeTransportInterrupts final : public virtio::TransportInterrupts {
  public:
    explicit FakeTransportInterrupts(std::uint16_t count = 4) : count_(count) {
        levels.reserve(16);  // for tests that count allocations
    }
    [[nodiscard]] std::uint16_t vectors() const noexcept override { return count_; }
    [[nodiscard]] bool msix_enabled() const noexcept override { return msix; }
    void raise(std::uint16_t vector) noexcept override { raised.push_back(vector); }
    void set_intx(bool level) noexcept override { levels.push_back(level); }

    [[nodiscard]] std::vector<std::uint16_t> take_raised() { return std::exchange(raised, {}); }
    [[nodiscard]] std::vector<bool> take_levels() { return std::exchange(levels, {}); }

    bool msix = true;
    std::vector<std::uint16_t> raised;
    std::vector<bool> levels;

  private:
    const std::uint16_t count_;
};

}  // namespace cxlvm::test
