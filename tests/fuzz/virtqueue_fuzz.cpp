// SPDX-License-Identifier: Apache-2.0
// Gives a split virtqueue rings of arbitrary bytes, changes them at any moment, and checks what
// must hold whatever a driver does. The input: how the queue is set up, then operations; what is
// written to guest memory is part of them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "io/error.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/script.hpp"

namespace cxlvm::virtio {
namespace {

// Two blocks of 16 KiB with a hole of as much between them: all addresses fit into 16 bits.
constexpr std::uint64_t kBlock = 0x4000;
constexpr std::uint64_t kHigh = 0x8000;
constexpr std::uint16_t kMaxSegments = 24;

GuestMemory& memory() {
    static GuestMemory memory(
        {.size = 2 * kBlock, .numa_node = {}, .hole_base = Gpa(kBlock), .high_base = Gpa(kHigh)});
    return memory;
}

using test::Script;

class Machine {
  public:
    explicit Machine(Script& script) {
        for (const GuestMemory::Block& block : memory().blocks()) {
            std::ranges::fill(block.host, std::byte{0});
        }
        start(script);
    }

    void step(Script& script) {
        const std::uint8_t op = script.next();
        switch (op % 8U) {
            case 0:
            case 1:
                store(script, std::size_t{1} + op / 8U);
                break;
            case 2:
                describe(script);
                break;
            case 3:
                offer(script);
                break;
            case 4:
                pop();
                break;
            case 5:
                give_back(script.next(), script.next16());
                break;
            case 6:
                notify(op);
                break;
            default:
                if (op / 8U == 31) {
                    start(script);
                } else {
                    pop();
                }
                break;
        }
        check();
    }

    /// However it got here, what is in flight can be given back.
    void finish() {
        while (!held_.empty()) {
            give_back(0, 0);
            check();
        }
        queue_.stop();
        io::check(!queue_.pop().has_value(), "a stopped queue gives a chain");
    }

  private:
    void start(Script& script) {
        held_.clear();
        const std::uint8_t how = script.next();
        setup_ = {.size = static_cast<std::uint16_t>(1U << (how % 8U)),
                  .descriptors = Gpa(0x1000),
                  .driver = Gpa(0x2000),
                  .device = Gpa(0x3000),
                  .event_idx = (how & 0x10U) != 0,
                  .indirect = (how & 0x20U) != 0};
        if ((how & 0xc0U) == 0xc0U) {
            setup_.size = script.next16();
            setup_.descriptors = Gpa(script.next16());
            setup_.driver = Gpa(script.next16());
            setup_.device = Gpa(script.next16());
        }
        const bool valid = queue_.valid(setup_);
        io::check(queue_.start(setup_) == valid, "a queue starts although it is not valid");
        io::check(queue_.running() == valid, "a queue runs that was refused");
    }

    void store(Script& script, std::size_t count) {
        const std::uint64_t address = script.next16();
        for (std::size_t i = 0; i < count; ++i) {
            (void)memory().store(Gpa(address + i), script.next());
        }
    }

    /// A descriptor, in the table or elsewhere, whose fields are likely to make sense.
    void describe(Script& script) {
        const std::uint64_t address = std::uint64_t{script.next()} * 16;
        Descriptor descriptor{.address = script.next16(),
                              .length = script.next(),
                              .flags = static_cast<std::uint16_t>(script.next() % 8U),
                              .next = script.next()};
        if (descriptor.length >= 0xf0) {
            descriptor.length = ~std::uint32_t{0} << (descriptor.length % 16U);
        } else if ((descriptor.flags & kDescriptorIndirect) != 0) {
            descriptor.length *= 16;
        }
        (void)memory().store(Gpa(setup_.descriptors.value() + address), descriptor);
    }

    void offer(Script& script) {
        const std::uint64_t ring = setup_.driver.value();
        const auto index = memory().load<std::uint16_t>(Gpa(ring + kRingIndex));
        if (!index || !queue_.running()) {
            return;
        }
        (void)memory().store(Gpa(ring + kRingElements + 2ULL * (*index % setup_.size)),
                             static_cast<std::uint16_t>(script.next()));
        (void)memory().store(Gpa(ring + kRingIndex), static_cast<std::uint16_t>(*index + 1));
    }

    void pop() {
        const auto chain = queue_.pop();
        if (!chain) {
            return;
        }
        io::check(queue_.error() == QueueError::None, "a chain comes with an error");
        io::check(chain->head < setup_.size, "the head lies outside the queue");
        io::check(std::ranges::none_of(
                      held_, [&](const Chain& other) { return other.head == chain->head; }),
                  "a chain is given out twice");
        io::check(chain->readable.size() + chain->writable.size() <= kMaxSegments,
                  "a chain has too many segments");
        io::check(check_segments(chain->readable) == chain->readable_bytes &&
                      check_segments(chain->writable) == chain->writable_bytes,
                  "the bytes of a chain are miscounted");
        io::check(chain->readable_bytes + chain->writable_bytes <= kMaxChainBytes,
                  "a chain is too long");
        held_.push_back(*chain);
    }

    /// All segments are RAM, and not empty; how many bytes they have.
    static std::uint64_t check_segments(std::span<const iovec> segments) {
        std::uint64_t bytes = 0;
        for (const iovec& segment : segments) {
            const auto* const begin = static_cast<const std::byte*>(segment.iov_base);
            io::check(segment.iov_len != 0, "a segment is empty");
            io::check(std::ranges::any_of(memory().blocks(),
                                          [&](const GuestMemory::Block& block) {
                                              const std::byte* const base = block.host.data();
                                              return begin >= base &&
                                                     begin < base + block.host.size() &&
                                                     segment.iov_len <=
                                                         block.host.size() -
                                                             static_cast<std::size_t>(begin - base);
                                          }),
                      "a segment lies outside RAM");
            bytes += segment.iov_len;
        }
        return bytes;
    }

    void give_back(std::size_t which, std::uint32_t written) {
        if (held_.empty()) {
            return;
        }
        const auto chain = held_.begin() + static_cast<std::ptrdiff_t>(which % held_.size());
        for (const iovec& segment : chain->writable) {
            static_cast<std::uint8_t*>(segment.iov_base)[segment.iov_len - 1] = 0xa5;
        }
        queue_.push(chain->head, written);
        held_.erase(chain);
    }

    void notify(std::uint8_t op) {
        switch (op / 8U % 4U) {
            case 0:
                (void)queue_.should_notify();
                io::check(!queue_.should_notify(), "there is nothing new to notify of");
                break;
            case 1:
                queue_.disable_kicks();
                break;
            default:
                io::check(!queue_.enable_kicks() || queue_.error() == QueueError::None,
                          "a broken queue asks to be popped from");
                break;
        }
    }

    void check() {
        io::check(queue_.in_flight() == held_.size(), "what is in flight is miscounted");
    }

    SplitQueue queue_{memory(), {.max_size = 128, .max_segments = kMaxSegments}};
    QueueSetup setup_;
    std::vector<Chain> held_;
};

}  // namespace
}  // namespace cxlvm::virtio

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::virtio::Script script(std::span(data, size));
    cxlvm::virtio::Machine machine(script);
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
