// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/virtio/spec.hpp"

/// What virtio 1.2 says of socket devices (5.10).
namespace cxlvm::virtio::vsock {

// Virtqueues (5.10.2).
inline constexpr std::uint16_t kReceiveQueue = 0;
inline constexpr std::uint16_t kTransmitQueue = 1;
inline constexpr std::uint16_t kEventQueue = 2;
inline constexpr std::size_t kQueues = 3;

// Feature bits (5.10.3).
inline constexpr std::uint64_t kFeatureStream = feature(0);
inline constexpr std::uint64_t kFeatureSeqpacket = feature(1);

/// Configuration space (5.10.4): guest_cid, 8 bytes.
inline constexpr std::size_t kConfigSize = 8;

/// Context identifier of the host (5.10.4).
inline constexpr std::uint64_t kHostCid = 2;

/// Begins every packet (5.10.6).
struct [[gnu::packed]] PacketHeader {
    std::uint64_t src_cid;
    std::uint64_t dst_cid;
    std::uint32_t src_port;
    std::uint32_t dst_port;
    std::uint32_t len;  ///< of the payload, in bytes
    std::uint16_t type;
    std::uint16_t op;
    std::uint32_t flags;
    std::uint32_t buf_alloc;  ///< the sender's buffer for this connection, in bytes (5.10.6.3)
    std::uint32_t fwd_cnt;    ///< bytes that it has taken out of that buffer, modulo 2^32
};
static_assert(sizeof(PacketHeader) == 44 && std::is_trivially_copyable_v<PacketHeader> &&
              std::has_unique_object_representations_v<PacketHeader>);
inline constexpr std::uint32_t kHeaderSize = sizeof(PacketHeader);

/// Types of sockets (5.10.6).
inline constexpr std::uint16_t kTypeStream = 1;

/// Operations (5.10.6).
enum class Op : std::uint16_t {
    Invalid = 0,
    Request = 1,
    Response = 2,
    Reset = 3,
    Shutdown = 4,
    Data = 5,  ///< VIRTIO_VSOCK_OP_RW
    CreditUpdate = 6,
    CreditRequest = 7,
};

// Flags of Op::Shutdown (5.10.6.5): what the sender will not do any longer.
inline constexpr std::uint32_t kShutdownReceive = 1U << 0;
inline constexpr std::uint32_t kShutdownSend = 1U << 1;
inline constexpr std::uint32_t kShutdownBoth = kShutdownReceive | kShutdownSend;

}  // namespace cxlvm::virtio::vsock
