// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/vsock/spec.hpp"

namespace cxlvm::virtio::vsock {

/// The name of a connection: there is one guest and one host.
struct Ports {
    std::uint32_t guest = 0;
    std::uint32_t host = 0;
    bool operator==(const Ports&) const = default;
};
/// No socket has this port (VMADDR_PORT_ANY).
inline constexpr std::uint32_t kAnyPort = 0xffff'ffff;

enum class PacketVerdict : std::uint8_t {
    Good,
    Malformed,  ///< to be answered with a reset
    NoHeader,   ///< nobody to answer
};

/// A packet of the guest's.
struct Packet {
    PacketHeader header{};
    std::span<iovec> payload;  ///< exactly header.len bytes, guest memory

    [[nodiscard]] Op op() const noexcept { return Op{header.op}; }
    [[nodiscard]] Ports ports() const noexcept {
        return {.guest = header.src_port, .host = header.dst_port};
    }
};

/// Takes `chain` apart. What is Good comes from this guest, goes to the host on a stream, has an
/// operation that there is, and all of its payload. After Malformed the header is there alone.
[[nodiscard]] PacketVerdict parse(const Chain& chain, std::uint32_t guest_cid,
                                  Packet& packet) noexcept;

/// A packet to the guest without payload.
[[nodiscard]] PacketHeader make_header(Op op, Ports ports, std::uint32_t guest_cid) noexcept;

/// The reset that answers a packet with which nothing can be done.
[[nodiscard]] PacketHeader make_reset(const PacketHeader& cause, std::uint32_t guest_cid) noexcept;

}  // namespace cxlvm::virtio::vsock
