// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/virtio/spec.hpp"
#include "devices/virtio/split_queue.hpp"

namespace cxlvm::virtio {

/// What a device asks of its transport. Any thread; never blocks for long, throws or allocates. The
/// device holds no lock of its own that it also takes when the transport calls it.
class DeviceHost {
  public:
    /// A used buffer notification (2.3), for a queue whose should_notify() says so. Without effect
    /// while the driver is not to be notified: before DRIVER_OK, and during a reset.
    virtual void notify_queue(std::uint16_t queue) noexcept = 0;
    /// The configuration space has changed: `data` now stands at `offset`. In one step as the
    /// driver sees it, with a new generation (2.5.2) and a notification, unless nothing differs.
    /// The bytes lie within what initial_config() gave.
    virtual void update_config(std::size_t offset, std::span<const std::byte> data) noexcept = 0;
    /// The device cannot go on until it is reset (2.1.2). `why` is a literal, for the log.
    virtual void fail(const char* why) noexcept = 0;
    /// The reset that the device was last asked for is complete.
    virtual void reset_done() noexcept = 0;

    // For a queue that the kernel serves in the device's place (vhost).
    /// An eventfd that the driver's notifications of `queue` signal; it may be signalled already.
    /// Until take_back_kicks() nobody listens to it here, and queue_notified() only tells of those
    /// that came another way. -1: there is none, and all of them do. It lives as long as the host.
    /// The loop's thread.
    [[nodiscard]] virtual int hand_over_kicks(std::uint16_t /*queue*/) noexcept { return -1; }
    virtual void take_back_kicks(std::uint16_t /*queue*/) noexcept {}
    /// An eventfd that notifies the driver of `queue` when it is signalled, until
    /// VirtioDevice::interrupts_changed() says that this may have changed. -1: there is none at
    /// present, and notify_queue() does it. It lives as long as the host.
    [[nodiscard]] virtual int share_notifications(std::uint16_t /*queue*/) noexcept { return -1; }

  protected:
    DeviceHost() = default;
    DeviceHost(const DeviceHost&) = default;
    DeviceHost& operator=(const DeviceHost&) = default;
    ~DeviceHost() = default;
};

/// What the driver has settled when it sets DRIVER_OK (3.1.1).
struct Activation {
    std::uint64_t features = 0;  ///< a subset of those offered, with VERSION_1
    /// By number; those that the driver has not enabled are not running(). They are the device's
    /// alone from here until it calls reset_done().
    std::span<SplitQueue> queues;
};

/// One type of virtio device, without its transport.
///
/// What the first group of functions returns never changes. The others never block, throw or
/// allocate; they are called from any vCPU thread with no lock of the transport's held, and may
/// call the host. Their order: attach(), then any number of rounds of activate(), queue_notified(),
/// reset(). write_config() may come at any time.
class VirtioDevice {
  public:
    VirtioDevice(const VirtioDevice&) = delete;
    VirtioDevice& operator=(const VirtioDevice&) = delete;
    virtual ~VirtioDevice() = default;

    /// For messages; a literal.
    [[nodiscard]] virtual const char* name() const noexcept = 0;
    [[nodiscard]] virtual DeviceId id() const noexcept = 0;
    /// The type's own feature bits (5); those of the transport and the queues are not its business.
    [[nodiscard]] virtual std::uint64_t features() const noexcept = 0;
    /// Whether these features, a subset of those offered, make sense together (2.2.1).
    [[nodiscard]] virtual bool accepts(std::uint64_t features) const noexcept;
    /// One element a queue.
    [[nodiscard]] virtual std::span<const QueueLimits> queues() const noexcept = 0;
    /// The configuration space as it is first; its size stays. At most 4096 bytes.
    [[nodiscard]] virtual std::span<const std::byte> initial_config() const noexcept = 0;

    /// Before anything else, once. The host outlives all work of the device.
    virtual void attach(DeviceHost& host) noexcept = 0;
    /// The driver is ready. False when the device cannot work: it then needs a reset. Afterwards
    /// queue_notified() is called once for each running queue, because chains may be there already.
    [[nodiscard]] virtual bool activate(const Activation& activation) noexcept = 0;
    /// The driver says that there are chains. A hint, which may come for nothing, or late: even
    /// after a reset. A device that is not active ignores it.
    virtual void queue_notified(std::uint16_t queue) noexcept = 0;
    /// What the host said of share_notifications() may not be true any longer, and what was
    /// signalled meanwhile may be lost.
    virtual void interrupts_changed() noexcept {}
    /// The driver writes 1, 2 or 4 bytes, which lie in the configuration space, aligned to their
    /// size. True when they are to be stored.
    [[nodiscard]] virtual bool write_config(std::size_t offset,
                                            std::span<const std::byte> data) noexcept;
    /// Stops after activate(), whatever that returned. When nothing is in flight and no thread of
    /// the device touches the queues any longer, it calls reset_done(), once: from here or later,
    /// from any thread.
    virtual void reset() noexcept = 0;

  protected:
    VirtioDevice() = default;
};

inline bool VirtioDevice::accepts(std::uint64_t /*features*/) const noexcept {
    return true;
}
inline bool VirtioDevice::write_config(std::size_t /*offset*/,
                                       std::span<const std::byte> /*data*/) noexcept {
    return false;
}

}  // namespace cxlvm::virtio
