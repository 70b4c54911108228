// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/throttle.hpp"
#include "devices/virtio/block/request.hpp"
#include "devices/virtio/block/request_runner.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "io/operation.hpp"

namespace cxlvm::virtio::block {

/// What all queues of a disk have in common; everything outlives them.
struct QueueWiring {
    io::EventLoop& loop;
    const DiskFile& disk;
    const Zeros& zeros;
    Throttle& throttle;
    std::span<const std::byte, kIdSize> id;
    io::Log& log;
    io::RateLimit& log_limit;  ///< for what a guest or a failing disk causes
};

/// What one round of the driver has settled.
struct QueueSession {
    DeviceHost* host = nullptr;
    SplitQueue* ring = nullptr;
    Limits limits{};
    bool write_through = false;  ///< the driver knows nothing of flushes
};

/// The requests of one virtqueue: taken from the ring on the loop, carried out there, a bounded
/// number at once, and given back in the order in which they end. Batches form on both sides: what
/// ends in one round of the loop is announced once, and the driver is asked for a notification only
/// when a round has found nothing new, not while the kernel is given what came before.
class BlockQueue final : private RequestRunner::Owner {
  public:
    /// At most `depth` requests are in flight; what the driver has beyond that, and beyond one that
    /// waits for the disk's rates, waits in its ring.
    BlockQueue(std::uint16_t number, unsigned depth, const QueueWiring& wiring);
    BlockQueue(const BlockQueue&) = delete;
    BlockQueue& operator=(const BlockQueue&) = delete;
    /// Nothing may be in flight, and the loop must not be running.
    ~BlockQueue();

    /// From now on the ring is served, whenever there is news. Any thread, while closed.
    void open(const QueueSession& session) noexcept;
    /// There may be chains. Any thread.
    void wake() noexcept;

    // The loop's thread.
    /// No chain is taken any longer, what is in flight is asked to end, and nothing waits.
    void close() noexcept;
    /// Closed, and nothing is in flight: the ring is not touched any more.
    [[nodiscard]] bool quiet() const noexcept;

    /// Called, on the loop's thread, when the last request in flight of a closed queue has ended.
    void on_quiet(io::Task::Function function, void* object) noexcept {
        quiet_function_ = function;
        quiet_object_ = object;
    }

  private:
    /// Room for a request in flight.
    struct Slot final : RequestRunner {
        Slot(const QueueWiring& wiring, Owner& owner) noexcept
            : RequestRunner(wiring.loop, wiring.disk, wiring.zeros, owner) {}
        std::uint16_t head = 0;
        std::uint32_t room = 0;   ///< writable bytes in front of the status
        std::uint32_t fills = 0;  ///< those of them that are written when all goes well
    };

    void request_done(RequestRunner& runner, RequestStatus status, int error) noexcept override;
    void on_round() noexcept;
    /// Gives back what has ended.
    void announce() noexcept;
    /// Takes chains and starts them while there are both chains and free slots. Asks for
    /// notifications, or has another round follow.
    void serve() noexcept;
    void begin(const Chain& chain) noexcept;
    void run(Slot& slot) noexcept;
    void on_turn() noexcept;
    void answer_id(Request& request) const noexcept;
    void end(Slot& slot, RequestStatus status) noexcept;
    void report(const RequestRunner::Failure& failure) noexcept;

    // Configuration.
    const std::uint16_t number_;
    // Wiring.
    const QueueWiring wiring_;
    io::Task::Function quiet_function_ = nullptr;
    void* quiet_object_ = nullptr;
    io::Task round_task_{io::Task::to<&BlockQueue::on_round>(*this)};
    // State.
    std::atomic<bool> open_{false};
    std::atomic<bool> round_posted_{false};
    /// Written while closed, read while open.
    QueueSession session_;
    // The loop's thread.
    bool ended_ = false;  ///< something has, and was not announced
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<Slot*> free_;
    Slot* held_ = nullptr;  ///< waits for the throttle, and no chain is taken meanwhile
    Throttle::Waiter turn_{Throttle::Waiter::to<&BlockQueue::on_turn>(*this)};
};

}  // namespace cxlvm::virtio::block
