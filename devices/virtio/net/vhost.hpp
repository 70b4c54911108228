// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/virtio/device.hpp"
#include "devices/virtio/net/backend.hpp"
#include "devices/virtio/net/net_config.hpp"
#include "devices/virtio/net/net_queue.hpp"
#include "devices/virtio/net/vhost_device.hpp"
#include "devices/virtio/net/vhost_queue.hpp"
#include "io/event_loop.hpp"
#include "io/operations.hpp"

namespace cxlvm::virtio::net {

/// The pairs of queues of a device on taps, served by the kernel.
///
/// Nobody of ours hears when a tap is removed, so that is looked at once a second.
class Vhost {
  public:
    /// Opens /dev/vhost-net for each of the backend's ports, or uses copies of the descriptors of
    /// `config`. Everything outlives this. Throws Error naming --net.
    Vhost(const NetConfig& config, const Backend& backend, io::EventLoop& loop, QueueOwner& owner,
          VhostCalls& calls = vhost_calls());
    Vhost(const Vhost&) = delete;
    Vhost& operator=(const Vhost&) = delete;
    ~Vhost();

    /// A notification of the driver's that came another way than by an eventfd. Any thread.
    void kick(std::uint16_t queue) const noexcept;
    /// See VirtioDevice. Any thread.
    void interrupts_changed() noexcept;

    // The loop's thread.
    /// The first `pairs` of pairs, as far as their rings are running; none of them is used yet.
    /// False: the kernel refuses.
    [[nodiscard]] bool open(DeviceHost& host, const Activation& activation,
                            std::size_t pairs) noexcept;
    /// Frames go through the first `pairs` of those that are open. False: the kernel refuses.
    [[nodiscard]] bool use(std::size_t pairs) noexcept;
    /// The owner hears when this is quiet, unless it is.
    void close() noexcept;
    [[nodiscard]] bool quiet() const noexcept;

  private:
    struct Pair {
        Pair(io::Fd fd, const std::string& what, const Port& its_port, io::EventLoop& loop,
             QueueOwner& owner, VhostCalls& calls)
            : port(its_port),
              device(std::move(fd), what, calls),
              receive(device, VhostDevice::Ring::Receive, port, loop, owner),
              transmit(device, VhostDevice::Ring::Transmit, port, loop, owner) {}
        const Port& port;
        VhostDevice device;
        VhostQueue receive;
        VhostQueue transmit;
    };

    void on_interrupts() noexcept;
    void on_watch(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    [[nodiscard]] bool open_pair(Pair& pair, std::size_t number, DeviceHost& host,
                                 const Activation& activation) noexcept;

    // Wiring.
    io::EventLoop& loop_;
    QueueOwner& owner_;
    std::vector<std::unique_ptr<Pair>> pairs_;
    io::Task interrupts_task_{io::Task::to<&Vhost::on_interrupts>(*this)};
    io::TimeoutOp watch_{io::Completion::to<&Vhost::on_watch>(*this)};
    std::atomic<bool> interrupts_posted_{false};
    // State; the loop's thread.
    DeviceHost* host_ = nullptr;  ///< while open
};

}  // namespace cxlvm::virtio::net
