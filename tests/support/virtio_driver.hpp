// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/virtio/spec.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/error.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::test {

/// RAM in two blocks with a hole between them: [0, 512 KiB) and [2 MiB, 2.5 MiB).
inline constexpr std::uint64_t kHoleBase = 0x8'0000;
inline constexpr std::uint64_t kHighBase = 0x20'0000;
inline GuestMemoryConfig two_blocks() {
    return {.size = 0x10'0000,
            .numa_node = {},
            .hole_base = Gpa(kHoleBase),
            .high_base = Gpa(kHighBase)};
}

/// The driver's side of a split virtqueue (virtio 1.2, 2.7), which writes what it is told to,
/// right or wrong. One thread. Areas lie at 0x1000, 0x6000 and 0x8000, enough for 1024 elements.
class VirtioDriver {
  public:
    VirtioDriver(GuestMemory& memory, std::uint16_t size, std::uint64_t base = 0x1000)
        : memory_(memory), size_(size), base_(base) {}

    [[nodiscard]] virtio::QueueSetup setup(bool event_idx = false, bool indirect = true) const {
        return {.size = size_,
                .descriptors = Gpa(base_),
                .driver = Gpa(avail()),
                .device = Gpa(used()),
                .event_idx = event_idx,
                .indirect = indirect};
    }

    void describe(std::uint16_t index, const virtio::Descriptor& descriptor) {
        store(base_ + sizeof(descriptor) * index, descriptor);
    }
    /// Puts `head` into the ring; the device sees it when show() is called.
    void offer(std::uint16_t head) {
        store(avail() + virtio::kRingElements + 2ULL * (avail_index_ % size_), head);
        ++avail_index_;
    }
    void show() { field(avail() + virtio::kRingIndex).store(avail_index_); }
    void make_available(std::uint16_t head) {
        offer(head);
        show();
    }
    /// Jumps, as no driver does.
    void set_avail_index(std::uint16_t index) {
        avail_index_ = index;
        show();
    }
    [[nodiscard]] std::uint16_t avail_index() const { return avail_index_; }

    /// The next chain that the device has used.
    std::optional<virtio::UsedElement> take_used() {
        if (used_index() == last_used_) {
            return std::nullopt;
        }
        const auto element = memory_.load<virtio::UsedElement>(
            Gpa(used() + virtio::kRingElements + 8ULL * (last_used_ % size_)));
        ++last_used_;
        return element;
    }
    [[nodiscard]] std::uint16_t used_index() { return field(used() + virtio::kRingIndex).load(); }
    [[nodiscard]] std::uint16_t last_used() const { return last_used_; }

    void set_avail_flags(std::uint16_t flags) { field(avail() + virtio::kRingFlags).store(flags); }
    void set_used_event(std::uint16_t index) {
        field(avail() + virtio::used_event_offset(size_)).store(index);
    }
    [[nodiscard]] std::uint16_t used_flags() { return field(used() + virtio::kRingFlags).load(); }
    [[nodiscard]] std::uint16_t avail_event() {
        return field(used() + virtio::avail_event_offset(size_)).load();
    }

    template <typename T>
    void store(std::uint64_t address, const T& value) {
        io::check(memory_.store(Gpa(address), value), "the test writes outside RAM");
    }
    template <typename T>
    [[nodiscard]] T load(std::uint64_t address) const {
        return memory_.load<T>(Gpa(address)).value();
    }

  private:
    [[nodiscard]] std::uint64_t avail() const { return base_ + 0x5000; }
    [[nodiscard]] std::uint64_t used() const { return base_ + 0x7000; }
    [[nodiscard]] std::atomic_ref<std::uint16_t> field(std::uint64_t address) {
        const auto bytes = memory_.span(Gpa(address), 2).value();
        return std::atomic_ref(*reinterpret_cast<std::uint16_t*>(bytes.data()));
    }

    GuestMemory& memory_;
    const std::uint16_t size_;
    const std::uint64_t base_;
    std::uint16_t avail_index_ = 0;
    std::uint16_t last_used_ = 0;
};

}  // namespace cxlvm::test
