// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/receive_queue.hpp"

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::vsock {

ReceiveQueue::ReceiveQueue(std::size_t connections, std::uint16_t queue_size)
    : turns_(connections), replies_(kReplies) {
    spare_.reserve(queue_size);
}

void ReceiveQueue::close() noexcept {
    ring_ = nullptr;
    failure_ = nullptr;
    for (Connection* const connection : turns_) {
        connection->queued = false;
    }
    turns_.clear();
    replies_.clear();
    spare_.clear();
}

void ReceiveQueue::add(Connection& connection) noexcept {
    if (!connection.queued && ring_ != nullptr) {
        connection.queued = true;
        turns_.push_back(&connection);
    }
}

void ReceiveQueue::give_back(const Chain& chain, std::uint32_t written) noexcept {
    if (ring_ == nullptr) {
        return;
    }
    if (written != 0) {
        ring_->put(chain.head, written);
    } else {
        spare_.push_back(chain);
    }
}

std::optional<Chain> ReceiveQueue::next_chain() noexcept {
    if (!spare_.empty()) {
        const Chain chain = spare_.back();
        spare_.pop_back();
        return chain;
    }
    do {
        if (const auto chain = ring_->pop()) {
            // Nothing but headers could ever be sent in it.
            if (chain->writable_bytes <= kHeaderSize) {
                failure_ = "a receive buffer has no room for a packet";
                return std::nullopt;
            }
            return chain;
        }
        if (ring_->error() != QueueError::None) {
            failure_ = describe(ring_->error());
            return std::nullopt;
        }
    } while (ring_->enable_kicks());
    return std::nullopt;
}

void ReceiveQueue::write(const Chain& chain, const PacketHeader& header) noexcept {
    std::span<iovec> room = chain.writable;
    (void)fill_front(room, std::as_bytes(std::span(&header, 1)));
}

const char* ReceiveQueue::serve() noexcept {
    if (ring_ == nullptr || failure_ != nullptr) {
        return failure_;
    }
    ring_->disable_kicks();
    while (!replies_.empty() || !turns_.empty()) {
        if (replies_.empty() && !turns_.front()->wants_turn()) {
            turns_.front()->queued = false;
            turns_.pop_front();
            continue;
        }
        const auto chain = next_chain();
        if (!chain) {
            break;
        }
        if (!replies_.empty()) {
            write(*chain, replies_.front());
            replies_.pop_front();
            ring_->put(chain->head, kHeaderSize);
            continue;
        }
        Connection& connection = *turns_.front();
        turns_.pop_front();
        connection.queued = false;
        if (!connection.take_turn(*chain)) {
            ring_->put(chain->head, kHeaderSize);
        }
        if (connection.wants_turn()) {
            add(connection);
        }
    }
    return failure_;
}

}  // namespace cxlvm::virtio::vsock
