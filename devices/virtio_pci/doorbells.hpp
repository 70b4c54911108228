// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devices/virtio/transport.hpp"
#include "io/event_loop.hpp"
#include "io/eventfd.hpp"
#include "io/log.hpp"
#include "io/operations.hpp"
#include "memory/doorbell.hpp"

namespace cxlvm::virtio {

/// The available buffer notifications (virtio 1.2, 4.1.5.2) of one transport's queues as eventfds
/// that the event loop listens to, so that a vCPU's write ends in the kernel.
class QueueDoorbells {
  public:
    /// Throws io::Error. All outlive this.
    QueueDoorbells(Transport& transport, io::EventLoop& loop, io::Log& log);
    QueueDoorbells(const QueueDoorbells&) = delete;
    QueueDoorbells& operator=(const QueueDoorbells&) = delete;
    /// Nothing is listened to.
    ~QueueDoorbells() = default;

    /// At the offsets of the transport's registers; they live as long as this.
    [[nodiscard]] std::span<const Doorbell> doorbells() const noexcept { return doorbells_; }
    /// The same at the offsets of NotifyPorts.
    [[nodiscard]] std::span<const Doorbell> port_doorbells() const noexcept {
        return port_doorbells_;
    }

    // The loop's thread.
    /// Listens until stop(), or until the loop ends. Where the host refuses that, it says so once
    /// and tries again from time to time.
    void start() noexcept;
    /// When nothing is listened to any longer, idle() is true, and `stopped` has been posted once.
    void stop(io::Task& stopped) noexcept;
    [[nodiscard]] bool idle() const noexcept;
    /// Leaves the notifications of `queue` to whoever listens to the eventfd returned, until
    /// take_back(). -1: there is no such queue.
    [[nodiscard]] int hand_over(std::uint16_t queue) noexcept;
    void take_back(std::uint16_t queue) noexcept;

  private:
    /// The kernel reports every signal, also when the count is left as it is: it is never read.
    struct Bell {
        Bell(QueueDoorbells& owner, std::uint16_t queue);
        void on_signal(std::int32_t result, std::uint32_t flags, bool more) noexcept;
        void on_pause_over(std::int32_t result, std::uint32_t flags, bool more) noexcept;
        [[nodiscard]] bool idle() const noexcept { return poll.idle() && pause.idle(); }

        QueueDoorbells& owner;
        const std::uint16_t queue;
        io::EventFd event;
        io::PollOp poll;
        bool handed_over = false;
        bool let_go = false;  ///< cancelled for that, and not by the loop's end
        io::TimeoutOp pause;  ///< before the next try
    };

    void listen(Bell& bell) noexcept;
    void settle() noexcept;
    void complain(std::int32_t result) noexcept;

    // Wiring.
    Transport& transport_;
    io::EventLoop& loop_;
    io::Log& log_;
    std::vector<std::unique_ptr<Bell>> bells_;
    std::vector<Doorbell> doorbells_;
    std::vector<Doorbell> port_doorbells_;
    // State: the loop's thread.
    bool listening_ = false;
    bool complained_ = false;
    io::Task* stopped_ = nullptr;
};

}  // namespace cxlvm::virtio
