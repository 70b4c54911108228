// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/split_queue.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio {

namespace {

/// A 16-bit field that the driver accesses too. The areas' alignment makes it aligned.
[[nodiscard]] std::atomic_ref<std::uint16_t> shared_field(std::span<std::byte> area,
                                                          std::size_t offset) noexcept {
    // The bytes are the guest's; a field of a ring lives there by the standard's definition.
    return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(area.data() + offset));
}

/// A copy of the descriptor at `index`, which lies in the table. What the driver stores there later
/// must not show: the fence keeps the compiler from loading a second time.
[[nodiscard]] Descriptor copy_descriptor(std::span<const std::byte> table,
                                         std::size_t index) noexcept {
    Descriptor descriptor;
    std::memcpy(&descriptor, table.data() + index * sizeof(Descriptor), sizeof(Descriptor));
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return descriptor;
}

}  // namespace

struct SplitQueue::Walk {
    std::span<iovec> room;  ///< for the segments, readable ones first
    std::size_t readable = 0;
    std::size_t writable = 0;
    std::uint64_t readable_bytes = 0;
    std::uint64_t writable_bytes = 0;
    std::uint32_t steps = 0;  ///< descriptors seen, with or without bytes
    bool write_seen = false;
};

const char* describe(QueueError error) noexcept {
    switch (error) {
        case QueueError::None:
            return "no error";
        case QueueError::AvailIndex:
            return "the index of the available ring jumped by more than the queue's size";
        case QueueError::DescriptorIndex:
            return "a descriptor's number lies past the end of its table";
        case QueueError::HeadInFlight:
            return "a chain was made available while it was in use";
        case QueueError::TooLong:
            return "a chain has a loop or too many descriptors";
        case QueueError::TooManyBytes:
            return "a chain is longer than 4 GiB";
        case QueueError::Address:
            return "a descriptor names addresses that are not RAM";
        case QueueError::Order:
            return "a readable descriptor follows a writable one";
        case QueueError::Indirect:
            return "an indirect table stands where none may be, or its length is wrong";
    }
    return "unknown";
}

SplitQueue::SplitQueue(const GuestMemory& memory, const QueueLimits& limits)
    : limits_{.max_size = limits.max_size,
              .max_segments = limits.max_segments != 0 ? limits.max_segments : limits.max_size},
      memory_(&memory) {
    io::check(limits_.max_size <= kMaxSize && io::is_power_of_two(limits_.max_size),
              "a virtqueue's maximum size is a power of two up to 1024");
    io::check(limits_.max_segments <= kMaxSegments,
              "a virtqueue's chains have at most 4096 segments");
    // Not zeroed: pages of rows that no chain needs stay untouched.
    segments_ = std::make_unique_for_overwrite<iovec[]>(std::size_t{limits_.max_size} *
                                                        limits_.max_segments);
    busy_.resize(limits_.max_size);
}

std::optional<SplitQueue::Areas> SplitQueue::find_areas(const QueueSetup& setup) const noexcept {
    if (!io::is_power_of_two(setup.size) || setup.size > limits_.max_size ||
        !io::is_aligned(setup.descriptors.value(), kDescriptorAlignment) ||
        !io::is_aligned(setup.driver.value(), kDriverAlignment) ||
        !io::is_aligned(setup.device.value(), kDeviceAlignment)) {
        return std::nullopt;
    }
    const auto descriptors = memory_->span(setup.descriptors, descriptor_area_size(setup.size));
    const auto driver = memory_->span(setup.driver, driver_area_size(setup.size));
    const auto device = memory_->span(setup.device, device_area_size(setup.size));
    if (!descriptors || !driver || !device) {
        return std::nullopt;
    }
    return Areas{.descriptors = *descriptors, .driver = *driver, .device = *device};
}

bool SplitQueue::valid(const QueueSetup& setup) const noexcept {
    return find_areas(setup).has_value();
}

bool SplitQueue::start(const QueueSetup& setup) noexcept {
    stop();
    const auto areas = find_areas(setup);
    if (!areas) {
        return false;
    }
    state_.areas = *areas;
    state_.size = setup.size;
    state_.event_idx = setup.event_idx;
    state_.indirect = setup.indirect;
    return true;
}

void SplitQueue::stop() noexcept {
    state_ = State{};
    std::fill(busy_.begin(), busy_.end(), false);
}

std::optional<Chain> SplitQueue::pop() noexcept {
    if (!running() || state_.error != QueueError::None) {
        return std::nullopt;
    }
    // Acquire: what the driver wrote before it moved the index is seen behind this (2.7.13).
    const std::uint16_t avail =
        shared_field(state_.areas.driver, kRingIndex).load(std::memory_order_acquire);
    const auto pending = static_cast<std::uint16_t>(avail - state_.next_avail);
    if (pending == 0) {
        return std::nullopt;
    }
    if (pending > state_.size) {
        state_.error = QueueError::AvailIndex;
        return std::nullopt;
    }
    const std::size_t slot = state_.next_avail & (state_.size - 1U);
    const std::uint16_t head =
        shared_field(state_.areas.driver, kRingElements + slot * sizeof(std::uint16_t))
            .load(std::memory_order_relaxed);

    Walk walk;
    state_.error = read_chain(head, walk);
    if (state_.error != QueueError::None) {
        return std::nullopt;
    }
    busy_[head] = true;
    ++state_.in_flight;
    ++state_.next_avail;
    return Chain{.head = head,
                 .readable = walk.room.first(walk.readable),
                 .writable = walk.room.subspan(walk.readable, walk.writable),
                 .readable_bytes = walk.readable_bytes,
                 .writable_bytes = walk.writable_bytes};
}

QueueError SplitQueue::read_chain(std::uint16_t head, Walk& walk) const noexcept {
    if (head >= state_.size) {
        return QueueError::DescriptorIndex;
    }
    if (busy_[head]) {
        return QueueError::HeadInFlight;
    }
    walk.room =
        std::span(segments_.get() + std::size_t{head} * limits_.max_segments, limits_.max_segments);
    return read_table(state_.areas.descriptors, head, false, walk);
}

// A chain has no more elements than its table has (2.7.5.2 forbids loops), so counting them finds a
// loop. In an indirect table, which the driver may make longer, our own limit counts.
QueueError SplitQueue::read_table(std::span<const std::byte> table, std::uint32_t index,
                                  bool nested, Walk& walk) const noexcept {
    const std::size_t entries = table.size() / sizeof(Descriptor);
    const std::size_t limit =
        walk.steps + std::min<std::size_t>(entries, nested ? limits_.max_segments : state_.size);
    while (true) {
        if (index >= entries) {
            return QueueError::DescriptorIndex;
        }
        if (walk.steps == limit) {
            return QueueError::TooLong;
        }
        ++walk.steps;
        const Descriptor descriptor = copy_descriptor(table, index);
        if ((descriptor.flags & kDescriptorIndirect) != 0) {
            // One level, as the last of a chain, and where it was negotiated (2.7.5.3.1).
            const bool allowed =
                state_.indirect && !nested && (descriptor.flags & kDescriptorNext) == 0;
            return allowed ? read_indirect(descriptor, walk) : QueueError::Indirect;
        }
        if (const QueueError error = add_element(descriptor, walk); error != QueueError::None) {
            return error;
        }
        if ((descriptor.flags & kDescriptorNext) == 0) {
            return QueueError::None;
        }
        index = descriptor.next;
    }
}

// The write flag of the descriptor itself means nothing (2.7.5.3.2).
QueueError SplitQueue::read_indirect(const Descriptor& descriptor, Walk& walk) const noexcept {
    if (descriptor.length == 0 || descriptor.length % sizeof(Descriptor) != 0) {
        return QueueError::Indirect;
    }
    const auto table = memory_->span(Gpa(descriptor.address), descriptor.length);
    return table ? read_table(*table, 0, true, walk) : QueueError::Address;
}

QueueError SplitQueue::add_element(const Descriptor& descriptor, Walk& walk) const noexcept {
    const bool write = (descriptor.flags & kDescriptorWrite) != 0;
    if (!write && walk.write_seen) {
        return QueueError::Order;  // 2.7.4.2
    }
    walk.write_seen = write;
    if (descriptor.length == 0) {
        return QueueError::None;
    }
    const std::size_t used = walk.readable + walk.writable;
    if (used == walk.room.size()) {
        return QueueError::TooLong;
    }
    // Neither sum can overflow: what was added before is at most kMaxChainBytes.
    if (walk.readable_bytes + walk.writable_bytes + descriptor.length > kMaxChainBytes) {
        return QueueError::TooManyBytes;
    }
    const auto bytes = memory_->span(Gpa(descriptor.address), descriptor.length);
    if (!bytes) {
        return QueueError::Address;
    }
    walk.room[used] = {.iov_base = bytes->data(), .iov_len = bytes->size()};
    (write ? walk.writable : walk.readable) += 1;
    (write ? walk.writable_bytes : walk.readable_bytes) += descriptor.length;
    return QueueError::None;
}

void SplitQueue::put(std::uint16_t head, std::uint32_t written) noexcept {
    io::check(running() && head < state_.size && busy_[head],
              "a chain is given back that is not in flight");
    busy_[head] = false;
    --state_.in_flight;
    const std::size_t slot = state_.next_used & (state_.size - 1U);
    const UsedElement element{.id = head, .length = written};
    std::memcpy(state_.areas.device.data() + kRingElements + slot * sizeof(UsedElement), &element,
                sizeof(element));
    ++state_.next_used;
}

void SplitQueue::publish() noexcept {
    const auto fresh = static_cast<std::uint16_t>(state_.next_used - state_.published);
    if (fresh == 0) {
        return;
    }
    state_.published = state_.next_used;
    state_.unannounced += std::min<std::uint32_t>(
        fresh, std::numeric_limits<std::uint32_t>::max() - state_.unannounced);
    // Release: the elements and the buffers' contents are seen before the index (2.7.8).
    shared_field(state_.areas.device, kRingIndex)
        .store(state_.published, std::memory_order_release);
}

// The driver first says what it wants, then looks at the used index; we first move the index, then
// look at what it wants. When both do that in one order all agree on, one of them sees the other.
// Storing the index once more is what puts our half into that order (the thread sanitizer does not
// understand fences, and on x86 the price is the same).
bool SplitQueue::should_notify() noexcept {
    const std::uint32_t count = state_.unannounced;
    if (!running() || count == 0) {
        return false;
    }
    state_.unannounced = 0;
    shared_field(state_.areas.device, kRingIndex)
        .store(state_.published, std::memory_order_seq_cst);
    if (!state_.event_idx) {
        const std::uint16_t flags =
            shared_field(state_.areas.driver, kRingFlags).load(std::memory_order_seq_cst);
        return (flags & kAvailNoInterrupt) == 0;
    }
    const std::uint16_t event = shared_field(state_.areas.driver, used_event_offset(state_.size))
                                    .load(std::memory_order_seq_cst);
    // More than the index can count have certainly passed any event.
    return count > std::numeric_limits<std::uint16_t>::max() ||
           passed_event(event, state_.published,
                        static_cast<std::uint16_t>(state_.published - count));
}

// The same the other way round: the driver moves the available index, then looks at what we want.
bool SplitQueue::enable_kicks() noexcept {
    if (!running() || state_.error != QueueError::None) {
        return false;
    }
    if (state_.event_idx) {
        shared_field(state_.areas.device, avail_event_offset(state_.size))
            .store(state_.next_avail, std::memory_order_seq_cst);
    } else {
        shared_field(state_.areas.device, kRingFlags).store(0, std::memory_order_seq_cst);
    }
    return shared_field(state_.areas.driver, kRingIndex).load(std::memory_order_seq_cst) !=
           state_.next_avail;
}

// With EVENT_IDX, an avail_event that lags behind does it: the driver tells of no index that is
// past it. Flags stay 0 then (2.7.10.2).
void SplitQueue::disable_kicks() noexcept {
    if (running() && !state_.event_idx) {
        shared_field(state_.areas.device, kRingFlags)
            .store(kUsedNoNotify, std::memory_order_relaxed);
    }
}

}  // namespace cxlvm::virtio
