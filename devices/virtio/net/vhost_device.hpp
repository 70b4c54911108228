// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "devices/virtio/split_queue.hpp"
#include "io/fd.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio::net {

/// How the kernel is asked; tests answer in its place.
class VhostCalls {
  public:
    VhostCalls() = default;
    VhostCalls(const VhostCalls&) = delete;
    VhostCalls& operator=(const VhostCalls&) = delete;
    virtual ~VhostCalls() = default;
    /// ioctl(2): 0, or the errno value.
    [[nodiscard]] virtual int call(int fd, unsigned long request, void* argument) noexcept;
};
/// The kernel itself.
[[nodiscard]] VhostCalls& vhost_calls() noexcept;

/// One open /dev/vhost-net: the kernel serves a pair of queues in our place, straight between guest
/// memory and a tap, on a thread of its own. Results are 0 or an errno value. One thread at a time.
class VhostDevice {
  public:
    /// The rings, as the kernel numbers them.
    enum class Ring : std::uint8_t { Receive = 0, Transmit = 1 };
    static constexpr int kNone = -1;  ///< in place of a descriptor

    /// Becomes the owner of `fd`: the kernel's thread works in this process' memory. Throws Error
    /// naming `what`.
    VhostDevice(io::Fd fd, const std::string& what, VhostCalls& calls);

    /// While no ring has a port: what the driver has negotiated, and where its addresses lie.
    [[nodiscard]] int set_up(std::uint64_t features, const GuestMemory& memory) noexcept;
    /// The same: from its beginning on, with the eventfds for notifications of the driver's and for
    /// errors in the ring.
    [[nodiscard]] int set_ring(Ring ring, const SplitQueue& queue, int kick, int error) noexcept;
    /// The eventfd that is signalled when the driver is to be notified.
    [[nodiscard]] int set_call(Ring ring, int call) noexcept;
    /// The queue of a tap whose frames are moved; with kNone, none are, and guest memory is left
    /// alone when this returns. The ring stays where it is.
    [[nodiscard]] int set_port(Ring ring, int tap) noexcept;
    /// Lets go of the ring's eventfds.
    void release(Ring ring) noexcept;

  private:
    [[nodiscard]] int set_file(unsigned long request, Ring ring, int fd) noexcept;
    [[nodiscard]] int set_number(unsigned long request, Ring ring, unsigned number) noexcept;

    // Wiring.
    const io::Fd fd_;
    VhostCalls& calls_;
};

}  // namespace cxlvm::virtio::net
