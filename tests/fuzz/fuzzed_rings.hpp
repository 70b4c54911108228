// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "devices/virtio/spec.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/error.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/script.hpp"

namespace cxlvm::test {

/// Two blocks of 16 KiB with a hole of as much between them: all addresses fit into 16 bits.
inline GuestMemory& fuzzed_memory() {
    static GuestMemory memory(
        {.size = 0x8000, .numa_node = {}, .hole_base = Gpa(0x4000), .high_base = Gpa(0x8000)});
    return memory;
}

/// The virtqueues of a device, and a driver whose hands a script moves: the rings lie one behind
/// the other in fuzzed_memory(), where the script writes whatever it likes.
class FuzzedRings {
  public:
    static constexpr std::uint16_t kSize = 16;  ///< elements
    static constexpr std::uint16_t kMost = 5;   ///< queues

    explicit FuzzedRings(std::span<const virtio::QueueLimits> limits) {
        for (const virtio::QueueLimits& one : limits) {
            queues_.emplace_back(fuzzed_memory(), one);
        }
    }

    [[nodiscard]] std::vector<virtio::SplitQueue>& queues() noexcept { return queues_; }

    /// Empties all, and starts those whose bit in `how` is clear; bit 6 is for EVENT_IDX.
    void start(std::uint8_t how) {
        for (std::size_t i = 0; i < queues_.size(); ++i) {
            const virtio::QueueSetup setup{.size = kSize,
                                           .descriptors = Gpa(area(i)),
                                           .driver = Gpa(area(i) + kDriver),
                                           .device = Gpa(area(i) + kDevice),
                                           .event_idx = (how & 0x40U) != 0,
                                           .indirect = true};
            queues_[i].stop();
            for (std::uint64_t at = 0; at < kArea; ++at) {
                io::check(fuzzed_memory().store(Gpa(area(i) + at), std::uint8_t{0}),
                          "no RAM for a ring");
            }
            if ((how >> i & 1U) == 0) {
                io::check(queues_[i].start(setup), "a ring does not start");
            }
        }
    }

    /// Of each queue, the index of its used ring.
    [[nodiscard]] std::vector<std::uint16_t> used() const {
        std::vector<std::uint16_t> indexes;
        for (std::size_t i = 0; i < queues_.size(); ++i) {
            const Gpa index(area(i) + kDevice + virtio::kRingIndex);
            indexes.push_back(fuzzed_memory().load<std::uint16_t>(index).value());
        }
        return indexes;
    }

    /// Any bytes, anywhere.
    static void store(Script& script, std::size_t count) {
        const std::uint64_t address = script.next16();
        for (std::size_t i = 0; i < count; ++i) {
            (void)fuzzed_memory().store(Gpa(address + i), script.next());
        }
    }

    /// A descriptor whose fields are likely to make sense.
    static void describe(Script& script, std::size_t queue) {
        const std::uint64_t index = script.next() % kSize;
        const virtio::Descriptor descriptor{
            .address = script.next16(),
            .length = script.next16(),
            .flags = static_cast<std::uint16_t>(script.next() % 8U),
            .next = static_cast<std::uint16_t>(script.next() % kSize)};
        (void)fuzzed_memory().store(Gpa(area(queue % kMost) + sizeof(descriptor) * index),
                                    descriptor);
    }

    /// A head into the available ring.
    static void offer(Script& script, std::size_t queue) {
        const std::uint64_t ring = area(queue % kMost) + kDriver;
        const auto index =
            fuzzed_memory().load<std::uint16_t>(Gpa(ring + virtio::kRingIndex)).value();
        (void)fuzzed_memory().store(Gpa(ring + virtio::kRingElements + 2ULL * (index % kSize)),
                                    static_cast<std::uint16_t>(script.next() % kSize));
        (void)fuzzed_memory().store(Gpa(ring + virtio::kRingIndex),
                                    static_cast<std::uint16_t>(index + 1));
    }

  private:
    static constexpr std::uint64_t kArea = 0x200;
    static constexpr std::uint64_t kDriver = 0x100;
    static constexpr std::uint64_t kDevice = 0x140;

    [[nodiscard]] static std::uint64_t area(std::size_t queue) { return 0x1000 + kArea * queue; }

    std::vector<virtio::SplitQueue> queues_;
};

}  // namespace cxlvm::test
