// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/control_queue.hpp"

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::net {

namespace {

template <typename T>
bool take(std::span<iovec>& segments, T& out) noexcept {
    return take_front(segments, std::as_writable_bytes(std::span(&out, 1)));
}

}  // namespace

// One command in a round of the loop: it may take system calls that keep the kernel's lock of all
// interfaces.
void ControlQueue::serve() noexcept {
    ring().disable_kicks();
    if (const auto chain = next_chain()) {
        std::span<iovec> answer = chain->writable;
        // Not carried out when nothing can be said about it.
        const Ack ack = answer.empty() ? Ack::Error : carry_out(chain->readable);
        const bool said = fill_front(answer, std::as_bytes(std::span(&ack, 1)));
        ring().put(chain->head, said ? sizeof(ack) : 0);
        wake();
    }
    announce();
}

Ack ControlQueue::carry_out(std::span<iovec> request) noexcept {
    Command command{};
    if (!take(request, command)) {
        return Ack::Error;
    }
    bool done = false;
    if (command.group == kGroupMultiQueue && command.number == kSetQueuePairs) {
        std::uint16_t pairs = 0;
        done = take(request, pairs) && owner().use_pairs(pairs);
    } else if (command.group == kGroupGuestOffloads && command.number == kSetGuestOffloads) {
        std::uint64_t offloads = 0;
        done = take(request, offloads) && owner().use_guest_offloads(offloads);
    }
    return done ? Ack::Ok : Ack::Error;
}

}  // namespace cxlvm::virtio::net
