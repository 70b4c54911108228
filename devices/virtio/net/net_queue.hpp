// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "devices/virtio/device.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/event_loop.hpp"
#include "io/operations.hpp"

namespace cxlvm::virtio::net {

/// What the device is to its queues. The loop's thread.
class QueueOwner {
  public:
    /// Frames go in and out.
    [[nodiscard]] virtual bool link_up() const noexcept = 0;
    /// Nothing will come or go any more, because of the errno value `error`, or because the other
    /// end has closed (0).
    virtual void port_ended(int error) noexcept = 0;
    /// A closed queue has nothing in flight any longer.
    virtual void queue_quiet() noexcept = 0;

    // Commands of the driver. False: refused, and nothing has changed.
    [[nodiscard]] virtual bool use_pairs(unsigned pairs) noexcept = 0;
    [[nodiscard]] virtual bool use_guest_offloads(std::uint64_t features) noexcept = 0;

  protected:
    QueueOwner() = default;
    QueueOwner(const QueueOwner&) = default;
    QueueOwner& operator=(const QueueOwner&) = default;
    ~QueueOwner() = default;
};

/// What one round of the driver has settled.
struct QueueSession {
    DeviceHost* host = nullptr;
    SplitQueue* ring = nullptr;
    std::uint16_t number = 0;  ///< of the ring
    std::uint64_t features = 0;
};

/// One virtqueue, served on the loop's thread whenever there is news of the driver or of its port.
class NetQueue {
  public:
    /// Both outlive this.
    NetQueue(io::EventLoop& loop, QueueOwner& owner) noexcept : loop_(loop), owner_(owner) {}
    NetQueue(const NetQueue&) = delete;
    NetQueue& operator=(const NetQueue&) = delete;
    virtual ~NetQueue() { loop_.withdraw(wake_task_); }

    /// There may be something to do. Any thread.
    void wake() noexcept;

    // The loop's thread.
    /// From the loop's next round on the ring is served, whenever there is news.
    void open(const QueueSession& session) noexcept;
    /// The ring is not touched any more. The owner hears when the queue is quiet, unless it is.
    void close() noexcept;
    [[nodiscard]] bool quiet() const noexcept { return !open_ && poll_.idle(); }

  protected:
    /// Does what there is to do, and no more than is fair to the loop's other work.
    virtual void serve() noexcept = 0;
    virtual void on_open() noexcept {}
    virtual void on_close() noexcept {}

    [[nodiscard]] const QueueSession& session() const noexcept { return session_; }
    [[nodiscard]] SplitQueue& ring() const noexcept { return *session_.ring; }
    [[nodiscard]] QueueOwner& owner() const noexcept { return owner_; }
    /// serve() is called when one of `events` (POLL*) is there.
    void wait_for(int fd, std::uint32_t events) noexcept;
    /// Shows the driver what was put, and notifies it if it wants to be.
    void announce() noexcept;
    /// The next chain. Nothing: there is none, and serve() is called when there is; or the driver
    /// has made an error, and is not served any more.
    [[nodiscard]] std::optional<Chain> next_chain() noexcept;
    /// As above, but nobody need tell when there is one.
    [[nodiscard]] std::optional<Chain> next_chain_if_any() noexcept;
    /// The driver has made an error: serve() is not called any more.
    void fail(const char* why) noexcept;
    [[nodiscard]] bool failed() const noexcept { return failed_; }

  private:
    void on_wake() noexcept;
    void on_poll(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    // Wiring.
    io::EventLoop& loop_;
    QueueOwner& owner_;
    io::Task wake_task_{io::Task::to<&NetQueue::on_wake>(*this)};
    io::PollOp poll_{io::Completion::to<&NetQueue::on_poll>(*this)};
    std::atomic<bool> wake_posted_{false};
    // State; the loop's thread.
    bool open_ = false;
    bool failed_ = false;
    QueueSession session_;
};

}  // namespace cxlvm::virtio::net
