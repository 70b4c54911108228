// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/virtio/spec.hpp"
#include "memory/address.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio {

/// Bounds of a queue, ours to choose at set-up.
struct QueueLimits {
    std::uint16_t max_size = 256;  ///< a power of two, at most SplitQueue::kMaxSize
    /// Elements of a chain with bytes in them, at most; 0 stands for max_size. What a driver may
    /// send is settled by the type of device (seg_max, say). 1 to SplitQueue::kMaxSegments.
    std::uint16_t max_segments = 0;
};

/// What the driver has set up.
struct QueueSetup {
    std::uint16_t size = 0;  ///< elements
    Gpa descriptors{};       ///< descriptor area (2.7.5)
    Gpa driver{};            ///< driver area: the available ring (2.7.6)
    Gpa device{};            ///< device area: the used ring (2.7.8)
    bool event_idx = false;  ///< VIRTIO_F_EVENT_IDX was negotiated
    bool indirect = false;   ///< VIRTIO_F_INDIRECT_DESC was negotiated
};

/// What a driver did that none may do. The device then needs a reset (2.1.2).
enum class QueueError : std::uint8_t {
    None,
    AvailIndex,       ///< more chains available than the queue has elements
    DescriptorIndex,  ///< a head or `next` past the end of its table
    HeadInFlight,     ///< a chain made available again before it was used
    TooLong,          ///< a loop, or more elements than we take
    TooManyBytes,     ///< more than 4 GiB in one chain
    Address,          ///< an element that is not RAM from end to end
    Order,            ///< a device-readable element behind a device-writable one
    Indirect,         ///< an indirect table where none may be, or of a wrong length
};
/// In words, for messages; a literal.
[[nodiscard]] const char* describe(QueueError error) noexcept;

/// One buffer of the driver's, as host memory. `readable` and `writable` leave out elements without
/// bytes. The vectors are the holder's to change (to cut off a header, say) and stay where they
/// are, as the memory behind them does, until the chain is given back.
struct Chain {
    std::uint16_t head = 0;
    std::span<iovec> readable;
    std::span<iovec> writable;
    std::uint64_t readable_bytes = 0;
    std::uint64_t writable_bytes = 0;
};

/// Spec:       virtio 1.2, 2.7: the device's side of a split virtqueue.
/// Implements: direct and indirect chains, use in any order, both ways of suppressing
///             notifications (flags and EVENT_IDX).
/// Deviates:   an indirect chain may be longer than the queue, up to the limit given (drivers do
///             that). An element of no bytes is taken, and its address not looked at: 2.7.5 does
///             not forbid it, and nothing is accessed there. A second use of a head that is in
///             flight is an error, which bounds what is in flight by the queue's size.
///
/// The driver may change all of it at any time: each value is loaded once, then checked. After an
/// error the queue gives no more chains until it is started anew.
///
/// One thread at a time, the device's; starting and stopping too. Nothing here allocates after
/// construction, throws, blocks, or does more work than one chain's worth of a call.
class SplitQueue {
  public:
    static constexpr std::uint16_t kMaxSize = 1024;
    static constexpr std::uint16_t kMaxSegments = 4096;

    /// `limits` out of their ranges are a broken invariant of ours. Reserves room for a full queue
    /// of the longest chains; pages of it that are never used are never touched.
    SplitQueue(const GuestMemory& memory, const QueueLimits& limits);
    SplitQueue(const SplitQueue&) = delete;
    SplitQueue& operator=(const SplitQueue&) = delete;
    SplitQueue(SplitQueue&&) noexcept = default;
    SplitQueue& operator=(SplitQueue&&) = delete;
    ~SplitQueue() = default;

    [[nodiscard]] std::uint16_t max_size() const noexcept { return limits_.max_size; }

    /// Whether such a queue can be: the size a power of two up to max_size(), each area aligned as
    /// 2.7 demands and in RAM from end to end. Any thread.
    [[nodiscard]] bool valid(const QueueSetup& setup) const noexcept;
    /// Begins at index 0 of both rings. False, and the queue is stopped, when it is not valid().
    [[nodiscard]] bool start(const QueueSetup& setup) noexcept;
    /// Forgets what is in flight: its holders must be done with it.
    void stop() noexcept;
    [[nodiscard]] bool running() const noexcept { return state_.size != 0; }
    /// Elements, as the driver has set it up; 0 while stopped.
    [[nodiscard]] std::uint16_t size() const noexcept { return state_.size; }

    /// Where the areas are, for the kernel to serve a queue that is running in our place.
    struct HostAddresses {
        const std::byte* descriptors = nullptr;
        const std::byte* driver = nullptr;
        const std::byte* device = nullptr;
    };
    [[nodiscard]] HostAddresses host_addresses() const noexcept {
        return {.descriptors = state_.areas.descriptors.data(),
                .driver = state_.areas.driver.data(),
                .device = state_.areas.device.data()};
    }
    [[nodiscard]] const GuestMemory& memory() const noexcept { return *memory_; }

    /// The next chain that the driver has made available. Nothing when there is none, the queue is
    /// stopped or error() tells of one.
    [[nodiscard]] std::optional<Chain> pop() noexcept;

    /// Gives the chain of `head`, which pop() gave, back as used, with `written` bytes from the
    /// start of its writable part filled in. The driver sees it when publish() is next called:
    /// chains that belong together (5.1.6.4: merged receive buffers) are put before one publish().
    void put(std::uint16_t head, std::uint32_t written) noexcept;
    void publish() noexcept;
    void push(std::uint16_t head, std::uint32_t written) noexcept {
        put(head, written);
        publish();
    }

    /// Whether the driver wants an interrupt for what has been published since this was last asked
    /// (2.7.7.2). Asked once after a batch; has the cost of a full barrier.
    [[nodiscard]] bool should_notify() noexcept;

    /// Asks the driver to notify us of the next chain (2.7.10.2). True when there is one already,
    /// which it may not tell of: pop() again then, before waiting.
    [[nodiscard]] bool enable_kicks() noexcept;
    /// Tells the driver that we are looking anyway. A hint: a notification may come nevertheless.
    void disable_kicks() noexcept;

    [[nodiscard]] QueueError error() const noexcept { return state_.error; }
    /// Chains popped and not given back.
    [[nodiscard]] std::uint16_t in_flight() const noexcept { return state_.in_flight; }

  private:
    struct Areas {
        std::span<std::byte> descriptors;
        std::span<std::byte> driver;
        std::span<std::byte> device;
    };
    /// A chain while it is being read.
    struct Walk;

    struct State {
        Areas areas;
        std::uint16_t size = 0;  ///< 0: stopped
        bool event_idx = false;
        bool indirect = false;
        QueueError error = QueueError::None;
        std::uint16_t next_avail = 0;   ///< index of the next chain to pop
        std::uint16_t next_used = 0;    ///< index behind the last element put
        std::uint32_t unannounced = 0;  ///< published since should_notify() was last asked
        std::uint16_t published = 0;    ///< used.idx as the driver sees it
        std::uint16_t in_flight = 0;
    };

    [[nodiscard]] std::optional<Areas> find_areas(const QueueSetup& setup) const noexcept;
    [[nodiscard]] QueueError read_chain(std::uint16_t head, Walk& walk) const noexcept;
    [[nodiscard]] QueueError read_table(std::span<const std::byte> table, std::uint32_t index,
                                        bool nested, Walk& walk) const noexcept;
    [[nodiscard]] QueueError read_indirect(const Descriptor& descriptor, Walk& walk) const noexcept;
    [[nodiscard]] QueueError add_element(const Descriptor& descriptor, Walk& walk) const noexcept;

    // Configuration.
    QueueLimits limits_;
    // Wiring.
    const GuestMemory* memory_;
    // State. The segments of a chain lie in the row of its head.
    State state_;
    std::unique_ptr<iovec[]> segments_;
    std::vector<bool> busy_;  ///< by head: in flight
};

}  // namespace cxlvm::virtio
