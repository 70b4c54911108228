// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "devices/virtio/net/net_config.hpp"
#include "devices/virtio/net/spec.hpp"

namespace cxlvm::virtio::net {

/// Where the frames of one pair of queues come from and go to. All calls come from the loop's
/// thread, none of them waits. Frames have a Header in front, both ways.
class Port {
  public:
    /// Bytes of a frame that room is for, at least, with its Header.
    static constexpr std::size_t kMinRoom = sizeof(Header) + kMaxFrame;

    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    virtual ~Port() = default;

    /// To be polled when there is nothing to receive, or no room to send.
    [[nodiscard]] virtual int fd() const noexcept = 0;

    /// Puts the next frame into `room`, which has kMinRoom bytes or more, and returns their number;
    /// num_buffers is left to the caller. -EAGAIN: nothing has come yet. 0 or another errno value
    /// below 0: nothing will come any more.
    [[nodiscard]] virtual std::int64_t receive(std::span<const iovec> room) noexcept = 0;
    /// Part of a frame lies in the room that was last given: the next call is given the same one,
    /// unless abandon_receive() is called first.
    [[nodiscard]] virtual bool receiving() const noexcept { return false; }
    virtual void abandon_receive() noexcept {}

    /// 0: sent, or lost as frames may be. EAGAIN: not yet; the next call is given the same frame,
    /// unless abandon_send() is called with it. Another errno value: nothing can be sent any more.
    [[nodiscard]] virtual int send(std::span<const iovec> frame) noexcept = 0;
    /// The memory of a frame that was not sent yet is to be used elsewhere.
    virtual void abandon_send(std::span<const iovec> /*frame*/) noexcept {}
};

/// What a network device is connected to.
class Backend {
  public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    /// For messages: "tap NAME", say. Stays.
    [[nodiscard]] virtual const char* name() const noexcept = 0;
    /// Feature bits of checksums and segmentation that it can do or take. Constant.
    [[nodiscard]] virtual std::uint64_t offloads() const noexcept { return 0; }
    /// Of the link, in bytes; 0 when there is nothing to say.
    [[nodiscard]] virtual std::uint16_t mtu() const noexcept { return 0; }
    /// One for each pair of queues.
    [[nodiscard]] virtual std::span<const std::unique_ptr<Port>> ports() const noexcept = 0;

    // The loop's thread.
    /// From now on, frames that come in may need these of kGuestOffloads. False: not possible.
    [[nodiscard]] virtual bool set_guest_offloads(std::uint64_t /*features*/) noexcept {
        return true;
    }
    /// The first `pairs` ports, 1 to all, are in use. False: not possible, and nothing has changed.
    [[nodiscard]] virtual bool set_pairs(unsigned /*pairs*/) noexcept { return true; }
};

/// Opens what `config` says, which check() found right. Throws Error naming --net.
[[nodiscard]] std::unique_ptr<Backend> open_backend(const NetConfig& config);

}  // namespace cxlvm::virtio::net
