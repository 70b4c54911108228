// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/packet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace cxlvm::virtio::vsock {
namespace {

constexpr std::uint32_t kCid = 7;

PacketHeader good() {
    PacketHeader header{};
    header.src_cid = kCid;
    header.dst_cid = kHostCid;
    header.src_port = 1000;
    header.dst_port = 22;
    header.len = 5;
    header.type = kTypeStream;
    header.op = static_cast<std::uint16_t>(Op::Data);
    return header;
}

class PacketTest : public testing::Test {
  protected:
    /// The verdict on `header` and `payload`, which lie in pieces of `piece` bytes.
    PacketVerdict verdict(const PacketHeader& header, std::string payload = "hello",
                          std::size_t piece = 4096) {
        bytes_.assign(reinterpret_cast<const char*>(&header), sizeof(header));
        bytes_ += payload;
        return verdict_on_bytes(piece);
    }
    PacketVerdict verdict_on_bytes(std::size_t piece = 4096) {
        segments_.clear();
        for (std::size_t at = 0; at < bytes_.size(); at += piece) {
            segments_.push_back({bytes_.data() + at, std::min(piece, bytes_.size() - at)});
        }
        Chain chain;
        chain.readable = segments_;
        chain.readable_bytes = bytes_.size();
        return parse(chain, kCid, packet_);
    }
    [[nodiscard]] std::string payload() const {
        std::string text;
        for (const iovec& segment : packet_.payload) {
            text.append(static_cast<const char*>(segment.iov_base), segment.iov_len);
        }
        return text;
    }

    std::string bytes_;
    std::vector<iovec> segments_;
    Packet packet_;
};

TEST_F(PacketTest, ThePayloadIsWhatTheHeaderSaysWhereverItLies) {
    for (const std::size_t piece : {1U, 3U, 43U, 44U, 45U, 4096U}) {
        EXPECT_EQ(verdict(good(), "hello, and more", piece), PacketVerdict::Good);
        EXPECT_EQ(payload(), "hello");
        EXPECT_EQ(packet_.ports(), (Ports{.guest = 1000, .host = 22}));
        EXPECT_EQ(packet_.op(), Op::Data);
    }
}

TEST_F(PacketTest, AllOperationsThatThereAreAreTaken) {
    PacketHeader header = good();
    for (std::uint16_t op = 0; op < 20; ++op) {
        header.op = op;
        EXPECT_EQ(verdict(header),
                  op >= 1 && op <= 7 ? PacketVerdict::Good : PacketVerdict::Malformed)
            << op;
    }
}

TEST_F(PacketTest, WhatIsNotForUsOrTooLongIsMalformed) {
    const auto with = [](auto change) {
        PacketHeader header = good();
        change(header);
        return header;
    };
    for (const PacketHeader& header :
         {with([](auto& h) { h.src_cid = kCid + 1; }),
          with([](auto& h) { h.src_cid = kCid + (std::uint64_t{1} << 32); }),
          with([](auto& h) { h.dst_cid = 1; }),
          with([](auto& h) { h.dst_cid = kHostCid + (std::uint64_t{1} << 32); }),
          with([](auto& h) { h.type = 2; }), with([](auto& h) { h.src_port = kAnyPort; }),
          with([](auto& h) { h.dst_port = kAnyPort; }), with([](auto& h) { h.len = 6; }),
          with([](auto& h) { h.len = 0xffff'ffff; })}) {
        EXPECT_EQ(verdict(header), PacketVerdict::Malformed);
        EXPECT_TRUE(packet_.payload.empty());
    }
}

TEST_F(PacketTest, LessThanAHeaderIsNone) {
    bytes_.assign(sizeof(PacketHeader) - 1, 'x');
    EXPECT_EQ(verdict_on_bytes(), PacketVerdict::NoHeader);
    bytes_.clear();
    EXPECT_EQ(verdict_on_bytes(), PacketVerdict::NoHeader);
}

TEST(PacketHeaderTest, AResetComesFromWhoeverWasMeant) {
    PacketHeader cause = good();
    cause.dst_cid = 99;
    const PacketHeader reset = make_reset(cause, kCid);
    EXPECT_EQ(Op{reset.op}, Op::Reset);
    EXPECT_EQ(reset.src_cid, 99U);
    EXPECT_EQ(reset.dst_cid, kCid);
    EXPECT_EQ(reset.src_port, 22U);
    EXPECT_EQ(reset.dst_port, 1000U);
    EXPECT_EQ(reset.len, 0U);
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
