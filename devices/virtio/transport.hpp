// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/device.hpp"
#include "devices/register.hpp"
#include "devices/virtio/common_config.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/interrupts.hpp"
#include "devices/virtio/spec.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio {

/// Where the structures of 4.1.4 lie in the one block of registers that Transport serves. Each has
/// pages of its own, so that the notifications' may be treated differently.
inline constexpr std::uint64_t kCommonBase = 0x0000;
inline constexpr std::uint64_t kIsrBase = 0x1000;
inline constexpr std::uint64_t kDeviceConfigBase = 0x2000;
inline constexpr std::uint64_t kNotifyBase = 0x3000;
inline constexpr std::uint64_t kTransportSize = 0x4000;
/// notify_off_multiplier: the queue of number n is notified at kNotifyBase + 4 n.
inline constexpr std::uint32_t kNotifyMultiplier = 4;

/// Spec:       virtio 1.2, 2.1 to 2.5, 3.1, and 4.1.4.3 to 4.1.4.6.
/// Implements: the modern PCI transport's registers: common configuration, ISR status, device
///             configuration, notifications. Offers VERSION_1, INDIRECT_DESC, EVENT_IDX, and what
///             the device offers.
/// Deviates:   not transitional. A driver's errors are answered thus: bits of device_status that it
///             takes away stay; DRIVER_OK without FEATURES_OK, or after an error, is refused; while
///             a queue is enabled or after DRIVER_OK its fields (but the vector) do not change; a
///             queue that is enabled with areas outside RAM is not, and the device needs a reset.
///
/// A reset takes as long as the device needs: device_status keeps its value, and writes are without
/// effect, until the device has called reset_done() (2.4.1, 4.1.4.3.1).
///
/// Offsets count from the start of a BAR of kTransportSize. Accesses have the widths of 4.1.3.1.
class Transport final : public Device, private DeviceHost {
  public:
    /// All outlive this. A device with more queues or configuration space than fit is a broken
    /// invariant of ours.
    Transport(VirtioDevice& device, const GuestMemory& memory, TransportInterrupts& interrupts,
              io::Log& log);

    [[nodiscard]] const char* name() const noexcept override { return device_.name(); }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    /// As a driver's reset: it goes on until resetting() is false, and before that guest memory
    /// must not be given to anybody else.
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] bool resetting() noexcept CXLVM_EXCLUDES(mutex_);

    /// A notification that came another way than by write(), such as an ioeventfd. Any thread.
    void notify(std::uint16_t queue) noexcept CXLVM_EXCLUDES(mutex_);
    /// MSI-X was enabled or disabled. Any thread.
    void interrupts_changed() noexcept CXLVM_EXCLUDES(mutex_);

    // For the capabilities (4.1.4).
    [[nodiscard]] DeviceId id() const noexcept { return device_.id(); }
    [[nodiscard]] std::uint16_t queues() const noexcept {
        return static_cast<std::uint16_t>(queues_.size());
    }
    [[nodiscard]] std::size_t config_size() const noexcept { return config_size_; }

  private:
    /// Whose the queues are, and what the device is doing.
    enum class Phase : std::uint8_t {
        Idle,        ///< before DRIVER_OK
        Activating,  ///< activate() has not returned
        Active,
        Resetting,  ///< until reset_done()
    };

    struct State {
        Phase phase = Phase::Idle;
        bool reset_wanted = false;  ///< a reset that waits for the end of Activating
        Register<std::uint8_t> isr;
    };

    /// What is to be done to other objects once the lock is released.
    struct Action {
        std::uint16_t vector = kNoVector;
        bool intx = false;  ///< the interrupt status may have changed
        bool activate = false;
        bool reset = false;
        bool interrupts = false;  ///< where they go may have changed
        const char* failure = nullptr;
    };

    // DeviceHost.
    void notify_queue(std::uint16_t queue) noexcept override CXLVM_EXCLUDES(mutex_);
    void update_config(std::size_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    void fail(const char* why) noexcept override CXLVM_EXCLUDES(mutex_);
    void reset_done() noexcept override CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] int hand_over_kicks(std::uint16_t queue) noexcept override {
        return interrupts_.hand_over_kicks(queue);
    }
    void take_back_kicks(std::uint16_t queue) noexcept override {
        interrupts_.take_back_kicks(queue);
    }
    [[nodiscard]] int share_notifications(std::uint16_t queue) noexcept override
        CXLVM_EXCLUDES(mutex_);

    IoStatus read_common(std::uint64_t offset, std::span<std::byte> data) noexcept
        CXLVM_EXCLUDES(mutex_);
    IoStatus write_common(std::uint64_t offset, std::span<const std::byte> data) noexcept
        CXLVM_EXCLUDES(mutex_);
    IoStatus read_isr(std::uint64_t offset, std::span<std::byte> data) noexcept
        CXLVM_EXCLUDES(mutex_);
    IoStatus read_config(std::uint64_t offset, std::span<std::byte> data) noexcept
        CXLVM_EXCLUDES(mutex_);
    IoStatus write_config(std::uint64_t offset, std::span<const std::byte> data) noexcept
        CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] IoStatus check_config_access(std::uint64_t offset,
                                               std::size_t size) const noexcept;
    [[nodiscard]] IoStatus check_notify_access(std::uint64_t offset,
                                               std::size_t size) const noexcept;

    void apply_locked(const CommonConfig::Effects& effects, Action& action) noexcept
        CXLVM_REQUIRES(mutex_);
    [[nodiscard]] bool notifies_locked() const noexcept CXLVM_REQUIRES(mutex_);
    /// The device may have begun to use its queues, though activate() has not returned yet.
    [[nodiscard]] bool in_use_locked() const noexcept CXLVM_REQUIRES(mutex_);
    void announce_config_locked(Action& action) noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] bool store_config_locked(std::size_t offset,
                                           std::span<const std::byte> data) noexcept
        CXLVM_REQUIRES(mutex_);
    void fail_locked(const char* why, Action& action) noexcept CXLVM_REQUIRES(mutex_);
    void begin_reset_locked(Action& action) noexcept CXLVM_REQUIRES(mutex_);
    void clear_locked(Action& action) noexcept CXLVM_REQUIRES(mutex_);

    void perform(const Action& action) noexcept CXLVM_EXCLUDES(mutex_);
    void settle_intx() noexcept CXLVM_EXCLUDES(mutex_);
    void activate() noexcept CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] bool start_device() noexcept CXLVM_EXCLUDES(mutex_);

    // Configuration.
    const std::size_t config_size_;
    // Wiring.
    VirtioDevice& device_;
    TransportInterrupts& interrupts_;
    io::Log& log_;
    io::Mutex mutex_;  ///< never held while the wiring is called, but for constants of its
    // Accounting; survives a reset. The configuration space does because what it says of the host
    // stays true, and its generation with it.
    io::RateLimit oddities_;
    std::vector<std::byte> config_ CXLVM_GUARDED_BY(mutex_);
    std::uint8_t generation_ CXLVM_GUARDED_BY(mutex_) = 0;
    bool generation_seen_ CXLVM_GUARDED_BY(mutex_) = false;  ///< config read since it last moved
    bool intx_ CXLVM_GUARDED_BY(mutex_) = false;             ///< as last told
    bool intx_busy_ CXLVM_GUARDED_BY(mutex_) = false;        ///< somebody is telling it
    // State.
    State state_ CXLVM_GUARDED_BY(mutex_);
    /// Touched without the lock by whoever the phase makes their owner: this while Activating and
    /// at the end of Resetting, else the device.
    std::vector<SplitQueue> queues_;
    CommonConfig common_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::virtio
