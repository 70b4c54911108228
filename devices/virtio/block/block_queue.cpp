// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_queue.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "devices/virtio/segments.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::block {

namespace {

/// What the rates of a disk count. Zeros are what the host may have to write; a discard moves
/// nothing, but each of its ranges is work for the host.
Throttle::Cost cost_of(const Request& request) noexcept {
    switch (request.type) {
        case RequestType::In:
        case RequestType::Out:
            return {.bytes = request.bytes, .operations = 1};
        case RequestType::WriteZeroes:
        case RequestType::Discard: {
            std::uint64_t bytes = 0;
            for (const ByteRange& range : request.ranges()) {
                bytes += request.type == RequestType::WriteZeroes ? range.size : 0;
            }
            return {.bytes = bytes, .operations = std::max<std::uint64_t>(request.range_count, 1)};
        }
        default:
            return {.bytes = 0, .operations = 1};
    }
}

}  // namespace

BlockQueue::BlockQueue(std::uint16_t number, unsigned depth, const QueueWiring& wiring)
    : number_(number), wiring_(wiring) {
    Owner& owner = *this;
    for (unsigned i = 0; i < depth; ++i) {
        slots_.push_back(std::make_unique<Slot>(wiring_, owner));
        free_.push_back(slots_.back().get());
    }
}

BlockQueue::~BlockQueue() {
    wiring_.loop.withdraw(round_task_);
    io::check(free_.size() + (held_ != nullptr ? 1 : 0) == slots_.size(),
              "a disk was destroyed with requests in flight");
}

void BlockQueue::open(const QueueSession& session) noexcept {
    session_ = session;
    open_.store(true, std::memory_order_release);
}

void BlockQueue::wake() noexcept {
    if (!round_posted_.exchange(true)) {
        wiring_.loop.post(round_task_);
    }
}

void BlockQueue::close() noexcept {
    open_.store(false, std::memory_order_relaxed);
    ended_ = false;
    if (Slot* const slot = std::exchange(held_, nullptr)) {
        wiring_.throttle.leave(turn_);
        free_.push_back(slot);
    }
    for (const auto& slot : slots_) {
        slot->cancel();
    }
}

bool BlockQueue::quiet() const noexcept {
    return !open_.load(std::memory_order_relaxed) && free_.size() == slots_.size();
}

void BlockQueue::on_round() noexcept {
    // Before the ring is looked at: whoever comes later posts again.
    round_posted_.store(false);
    if (open_.load(std::memory_order_acquire)) {
        announce();
        serve();
    }
}

void BlockQueue::announce() noexcept {
    if (std::exchange(ended_, false)) {
        session_.ring->publish();
        if (session_.ring->should_notify()) {
            session_.host->notify_queue(number_);
        }
    }
}

void BlockQueue::serve() noexcept {
    SplitQueue& ring = *session_.ring;
    // A driver whose requests need no I/O could keep us here for ever: then the loop's other work
    // comes first.
    const unsigned budget = ring.max_size();
    do {
        ring.disable_kicks();
        unsigned taken = 0;
        for (; taken != budget && held_ == nullptr && !free_.empty(); ++taken) {
            const auto chain = ring.pop();
            if (!chain) {
                break;
            }
            begin(*chain);
        }
        if (ring.error() != QueueError::None) {
            session_.host->fail(describe(ring.error()));
            return;
        }
        if (taken != 0) {
            wake();
            return;
        }
        // The throttle's turn or a request that ends goes on with this.
        if (held_ != nullptr || free_.empty()) {
            return;
        }
    } while (ring.enable_kicks());
}

void BlockQueue::begin(const Chain& chain) noexcept {
    Slot& slot = *free_.back();
    free_.pop_back();
    slot.head = chain.head;
    Request& request = slot.request();
    const RequestStatus status = parse(chain, session_.limits, request);
    // Without the status; parse() has seen to it that there is room for an id.
    slot.room =
        chain.writable_bytes != 0 ? static_cast<std::uint32_t>(chain.writable_bytes - 1) : 0;
    slot.fills = request.type == RequestType::In      ? slot.room
                 : request.type == RequestType::GetId ? std::uint32_t{kIdSize}
                                                      : 0;
    if (status != RequestStatus::Ok) {
        end(slot, status);
    } else if (request.type == RequestType::GetId) {
        answer_id(request);
        end(slot, status);
    } else if (wiring_.throttle.admit(cost_of(request), turn_)) {
        run(slot);
    } else {
        held_ = &slot;
    }
}

void BlockQueue::run(Slot& slot) noexcept {
    if (const auto ended = slot.start(session_.write_through)) {
        end(slot, *ended);
    }
}

void BlockQueue::on_turn() noexcept {
    run(*std::exchange(held_, nullptr));
    serve();
}

void BlockQueue::answer_id(Request& request) const noexcept {
    static_cast<void>(fill_front(request.data, wiring_.id));  // parse() saw that there is room
}

void BlockQueue::request_done(RequestRunner& runner, RequestStatus status, int error) noexcept {
    auto& slot = static_cast<Slot&>(runner);  // every runner here is one
    if (!open_.load(std::memory_order_relaxed)) {
        free_.push_back(&slot);
        if (quiet()) {
            quiet_function_(quiet_object_);
        }
        return;
    }
    if (status == RequestStatus::IoError) {
        report(runner.failure(error));
    }
    end(slot, status);
}

void BlockQueue::end(Slot& slot, RequestStatus status) noexcept {
    const Request& request = slot.request();
    std::uint32_t written = 0;
    if (request.status != nullptr) {
        std::atomic_ref(*request.status)
            .store(static_cast<std::byte>(status), std::memory_order_relaxed);
        // Bytes from the start without a gap (2.7.8.2): the status is one of them when all that
        // lies in front of it was written.
        const std::uint32_t data = status == RequestStatus::Ok ? slot.fills : 0;
        written = data == slot.room ? data + 1 : data;
    }
    session_.ring->put(slot.head, written);
    free_.push_back(&slot);
    ended_ = true;
    wake();
}

void BlockQueue::report(const RequestRunner::Failure& failure) noexcept {
    const char* const path = wiring_.disk.path();
    if (failure.offset) {
        wiring_.log.guest(wiring_.log_limit, "disk {}: a {} at byte {} failed: {}", path,
                          failure.what, *failure.offset, failure.why);
    } else {
        wiring_.log.guest(wiring_.log_limit, "disk {}: a {} failed: {}", path, failure.what,
                          failure.why);
    }
}

}  // namespace cxlvm::virtio::block
