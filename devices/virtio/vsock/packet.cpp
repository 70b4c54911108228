// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/packet.hpp"

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::vsock {

namespace {

bool is_known(std::uint16_t op) noexcept {
    switch (Op{op}) {
        case Op::Request:
        case Op::Response:
        case Op::Reset:
        case Op::Shutdown:
        case Op::Data:
        case Op::CreditUpdate:
        case Op::CreditRequest:
            return true;
        case Op::Invalid:
            break;
    }
    return false;
}

bool is_addressed(const PacketHeader& header, std::uint32_t guest_cid) noexcept {
    return header.src_cid == guest_cid && header.dst_cid == kHostCid &&
           header.src_port != kAnyPort && header.dst_port != kAnyPort;
}

}  // namespace

PacketVerdict parse(const Chain& chain, std::uint32_t guest_cid, Packet& packet) noexcept {
    packet.payload = {};
    std::span<iovec> readable = chain.readable;
    if (!take_front(readable, std::as_writable_bytes(std::span(&packet.header, 1)))) {
        return PacketVerdict::NoHeader;
    }
    const PacketHeader& header = packet.header;
    if (!is_addressed(header, guest_cid) || header.type != kTypeStream || !is_known(header.op) ||
        header.len > total_bytes(readable)) {
        return PacketVerdict::Malformed;
    }
    keep_front(readable, header.len);
    packet.payload = readable;
    return PacketVerdict::Good;
}

PacketHeader make_header(Op op, Ports ports, std::uint32_t guest_cid) noexcept {
    PacketHeader header{};
    header.src_cid = kHostCid;
    header.dst_cid = guest_cid;
    header.src_port = ports.host;
    header.dst_port = ports.guest;
    header.type = kTypeStream;
    header.op = static_cast<std::uint16_t>(op);
    return header;
}

PacketHeader make_reset(const PacketHeader& cause, std::uint32_t guest_cid) noexcept {
    PacketHeader header =
        make_header(Op::Reset, {.guest = cause.src_port, .host = cause.dst_port}, guest_cid);
    // From whoever was meant, or the guest would not know what is reset.
    header.src_cid = cause.dst_cid;
    header.type = cause.type;
    return header;
}

}  // namespace cxlvm::virtio::vsock
