// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "devices/virtio/device.hpp"
#include "devices/virtio/split_queue.hpp"
#include "io/event_loop.hpp"

namespace cxlvm::virtio {

/// What became of the chain that a server was given.
enum class Turn : std::uint8_t {
    Done,   ///< it goes back to the driver
    Later,  ///< the same one again, after the loop's other work
    Wait,   ///< the same one again, when run() or wake() is next called
};

/// Serves the chains of one queue. A chain that is not done is kept, with what was cut off its
/// segments, and given again: at any time, and perhaps for nothing.
class ChainServer {
  public:
    /// `written` is 0 before each call, and counts for Done: the bytes from the start of the
    /// writable part that are filled in.
    virtual Turn serve(std::uint16_t queue, Chain& chain, std::uint32_t& written) noexcept = 0;

  protected:
    ChainServer() = default;
    ChainServer(const ChainServer&) = default;
    ChainServer& operator=(const ChainServer&) = default;
    ~ChainServer() = default;
};

/// A virtqueue whose chains are served in order, one at a time, on an event loop's thread. What one
/// call of run() gives back is published and announced once.
class LoopQueue {
  public:
    /// At most `round` chains, not 0, are served before the loop's other work has its turn. `loop`
    /// and `server` outlive this.
    LoopQueue(std::uint16_t number, std::uint16_t round, io::EventLoop& loop,
              ChainServer& server) noexcept
        : number_(number), round_(round), loop_(loop), server_(server) {}
    LoopQueue(const LoopQueue&) = delete;
    LoopQueue& operator=(const LoopQueue&) = delete;
    /// The loop must not be running.
    ~LoopQueue() { loop_.withdraw(wake_task_); }

    [[nodiscard]] std::uint16_t number() const noexcept { return number_; }

    /// From now on the ring is served, whenever there is news. Any thread, while closed.
    void open(DeviceHost& host, SplitQueue& ring) noexcept;
    /// There may be something to do. Any thread.
    void wake() noexcept;

    // The loop's thread.
    [[nodiscard]] bool is_open() const noexcept { return open_.load(std::memory_order_acquire); }
    /// The ring, and a chain that was kept, are not touched any longer.
    void close() noexcept;
    /// Serves what there is. No effect while closed, nor from within serve().
    void run() noexcept;

  private:
    void on_wake() noexcept;
    /// Serves until there is no chain, or the server does not go on.
    void serve() noexcept;
    /// Whether a chain is at hand.
    [[nodiscard]] bool take() noexcept;

    // Configuration.
    const std::uint16_t number_;
    const std::uint16_t round_;
    // Wiring.
    io::EventLoop& loop_;
    ChainServer& server_;
    io::Task wake_task_{io::Task::to<&LoopQueue::on_wake>(*this)};
    // State.
    std::atomic<bool> open_{false};
    std::atomic<bool> wake_posted_{false};
    /// Written while closed, read while open.
    DeviceHost* host_ = nullptr;
    SplitQueue* ring_ = nullptr;
    // The loop's thread.
    std::optional<Chain> current_;
    bool running_ = false;
};

}  // namespace cxlvm::virtio
