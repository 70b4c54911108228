// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "devices/virtio/net/backend.hpp"
#include "io/fd.hpp"

namespace cxlvm::virtio::net {

/// One queue of a tap interface: each read(2) and write(2) moves one frame with its Header,
/// straight from and to the driver's memory. The kernel copies a frame before it looks at it, and
/// checks the offloads that the Header asks for.
///
/// Called on the loop's thread, without waiting, rather than as an operation of the ring: a single
/// frame costs two thirds of that so, and reads never wait with the driver's buffers in their
/// hands.
class TapPort final : public Port {
  public:
    /// `fd` does not block. Anything with frames for it will do.
    explicit TapPort(io::Fd fd) noexcept : fd_(std::move(fd)) {}

    [[nodiscard]] int fd() const noexcept override { return fd_.get(); }
    [[nodiscard]] std::int64_t receive(std::span<const iovec> room) noexcept override;
    [[nodiscard]] int send(std::span<const iovec> frame) noexcept override;

  private:
    io::Fd fd_;
};

/// A tap interface of the host's, or a macvtap.
class Tap final : public Backend {
  public:
    /// Opens the interface `name`, with `queues` queues. One that is not there is made, for as long
    /// as this exists, and set up. `mtu` other than 0 becomes that of the interface. Throws Error.
    Tap(const std::string& name, unsigned queues, std::uint16_t mtu);
    /// Uses copies of descriptors that somebody else has opened, one a queue. Throws Error.
    explicit Tap(const std::vector<int>& fds);

    [[nodiscard]] const char* name() const noexcept override { return name_.c_str(); }
    [[nodiscard]] std::uint64_t offloads() const noexcept override { return offloads_; }
    [[nodiscard]] std::uint16_t mtu() const noexcept override { return mtu_; }
    [[nodiscard]] std::span<const std::unique_ptr<Port>> ports() const noexcept override {
        return ports_;
    }
    [[nodiscard]] bool set_guest_offloads(std::uint64_t features) noexcept override;
    [[nodiscard]] bool set_pairs(unsigned pairs) noexcept override;

  private:
    void add(io::Fd fd);
    void prepare();
    /// False: refused halfway, and attached_ says where.
    [[nodiscard]] bool attach_ports(unsigned count) noexcept;

    std::string interface_;
    std::string name_;
    std::uint64_t offloads_ = 0;
    std::uint16_t mtu_ = 0;
    std::uint64_t guest_offloads_ = 0;  ///< as the kernel was last told
    unsigned attached_ = 0;             ///< ports that the kernel gives frames to
    std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace cxlvm::virtio::net
