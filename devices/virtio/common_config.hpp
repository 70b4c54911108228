// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/register.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/spec.hpp"
#include "devices/virtio/split_queue.hpp"

namespace cxlvm::virtio {

/// What a driver settles before DRIVER_OK: the common configuration structure (4.1.4.3) but its
/// generation, with the rules of 2.1, 2.2 and 3.1.1. Not thread-safe: the transport locks.
class CommonConfig {
  public:
    using Status = Register<std::uint8_t>;

    /// What a write asks for beyond the fields themselves.
    struct Effects {
        bool reset = false;      ///< 0 was written to device_status; nothing has changed yet
        bool driver_ok = false;  ///< DRIVER_OK has been set
        bool bad_queue = false;  ///< a queue was enabled that cannot be
    };

    /// `queues` are asked whether they can be enabled; they and the device outlive this. `vectors`:
    /// entries of the MSI-X table.
    CommonConfig(const VirtioDevice& device, std::uint64_t offered,
                 std::span<const SplitQueue> queues, std::uint16_t vectors);

    [[nodiscard]] std::uint32_t read(Common field) const noexcept;
    [[nodiscard]] Effects write(Common field, std::uint32_t value) noexcept;
    void reset() noexcept;

    [[nodiscard]] Status status() const noexcept { return state_.status; }
    void set_needs_reset() noexcept { state_.status = state_.status.with(kStatusNeedsReset, true); }
    /// As the driver accepts them.
    [[nodiscard]] std::uint64_t features() const noexcept;
    [[nodiscard]] std::uint16_t config_vector() const noexcept { return state_.config_vector; }
    // `queue` below the number of queues.
    [[nodiscard]] std::uint16_t queue_vector(std::uint16_t queue) const noexcept {
        return fields_[queue].vector;
    }
    [[nodiscard]] bool queue_enabled(std::uint16_t queue) const noexcept {
        return fields_[queue].enabled;
    }
    [[nodiscard]] QueueSetup queue_setup(std::uint16_t queue) const noexcept;

  private:
    /// A queue's fields.
    struct QueueFields {
        std::uint16_t size = 0;
        std::uint16_t vector = kNoVector;
        bool enabled = false;
        std::uint64_t descriptors = 0;
        std::uint64_t driver = 0;
        std::uint64_t device = 0;
    };
    struct State {
        Status status;
        std::uint32_t device_feature_select = 0;
        std::uint32_t driver_feature_select = 0;
        std::array<std::uint32_t, 4> driver_features{};  ///< by window: 128 bits are defined (2.2)
        std::uint16_t config_vector = kNoVector;
        std::uint16_t queue_select = 0;
    };

    [[nodiscard]] std::uint32_t read_queue(Common field) const noexcept;
    void write_queue(Common field, std::uint32_t value, Effects& effects) noexcept;
    void write_status(Status value, Effects& effects) noexcept;
    [[nodiscard]] bool features_acceptable() const noexcept;
    [[nodiscard]] std::uint16_t vector_of(std::uint32_t value) const noexcept;

    // Configuration.
    const std::uint64_t offered_;
    const std::uint16_t vectors_;
    // Wiring.
    const VirtioDevice& device_;
    const std::span<const SplitQueue> queues_;
    // State.
    State state_;
    std::vector<QueueFields> fields_;
};

}  // namespace cxlvm::virtio
