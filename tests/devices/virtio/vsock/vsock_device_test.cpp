// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock/vsock_device.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "io/error.hpp"
#include "tests/devices/virtio/vsock/vsock_fixture.hpp"

namespace cxlvm::virtio::vsock {
namespace {

using cxlvm::test::HostSocket;

class VsockDeviceTest : public VsockFixture {};

TEST_F(VsockDeviceTest, SaysWhatItIs) {
    EXPECT_EQ(device_->id(), DeviceId::Socket);
    EXPECT_EQ(device_->queues().size(), 3U);
    EXPECT_EQ(device_->features(), kFeatureStream);
    std::uint64_t cid = 0;
    ASSERT_EQ(device_->initial_config().size(), sizeof(cid));
    std::memcpy(&cid, device_->initial_config().data(), sizeof(cid));
    EXPECT_EQ(cid, kCid);
}

TEST_F(VsockDeviceTest, WhatCannotBeIsRefusedAtSetUp) {
    const auto message = [&](const VsockConfig& config) -> std::string {
        try {
            const VsockDevice device(config, loop_, log_);
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input);
            return error.what();
        }
        return "";
    };
    const std::string path = folder_.file("other.sock");
    for (const std::uint32_t cid : {0U, 1U, 2U, 0xffff'ffffU}) {
        EXPECT_NE(message({.cid = cid, .path = path}).find("--vsock: cid="), std::string::npos)
            << cid;
    }
    EXPECT_EQ(message({.cid = 3, .path = path}), "");
    EXPECT_EQ(message({.cid = 0xffff'fffe, .path = path}), "");
    EXPECT_NE(message({.cid = 3, .path = ""}).find("give one"), std::string::npos);
    EXPECT_NE(message({.cid = 3, .path = "/tmp/" + std::string(92, 'x')}).find("shorten it"),
              std::string::npos);
    EXPECT_NE(message({.cid = 3, .path = path_}).find("another process listens there"),
              std::string::npos);
}

TEST_F(VsockDeviceTest, TheSocketIsRemovedInTheEnd) {
    EXPECT_TRUE(std::filesystem::is_socket(path_));
    reset();
    device_.reset();
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(VsockDeviceTest, AClientReachesThePortThatItAsksFor) {
    Ports ports;
    HostSocket client = connect_to_guest(1024, ports);
    EXPECT_GE(ports.host, 1U << 30);
    EXPECT_EQ(client.write("from the host"), 13U);
    const Received data = next();
    EXPECT_EQ(data.op(), Op::Data);
    EXPECT_EQ(data.payload, "from the host");
    EXPECT_EQ(data.header.src_cid, kHostCid);
    EXPECT_EQ(data.header.dst_cid, kCid);
    EXPECT_EQ(data.header.src_port, ports.host);
    EXPECT_EQ(data.header.dst_port, 1024U);
    EXPECT_EQ(data.header.type, kTypeStream);
    send(Op::Data, ports, "from the guest");
    EXPECT_TRUE(until([&] {
        client.read();
        return client.data == "from the guest";
    }));
    EXPECT_GT(host_.notified[kReceiveQueue], 0);
    EXPECT_GT(host_.notified[kTransmitQueue], 0);
}

TEST_F(VsockDeviceTest, TheStreamMayFollowTheGreetingAtOnce) {
    HostSocket client = HostSocket::connect(path_);
    client.write("CONNECT 5\nand more");
    const Received request = next();
    ASSERT_EQ(request.op(), Op::Request);
    send(Op::Response, {.guest = 5, .host = request.header.src_port});
    EXPECT_EQ(next().payload, "and more");
}

TEST_F(VsockDeviceTest, AClientThatTheGuestRefusesIsClosed) {
    HostSocket client = HostSocket::connect(path_);
    client.write("CONNECT 5\n");
    const Received request = next();
    send(Op::Reset, {.guest = 5, .host = request.header.src_port});
    EXPECT_TRUE(until([&] {
        client.read();
        return client.ended();
    }));
    EXPECT_EQ(client.data, "");
}

TEST_F(VsockDeviceTest, AClientThatSaysAnythingElseIsClosed) {
    for (const char* const line : {"HELLO 1234\n", "CONNECT 99999999999\n", "CONNECT \n\n"}) {
        HostSocket client = HostSocket::connect(path_);
        client.write(line);
        EXPECT_TRUE(until([&] {
            client.read();
            return client.ended();
        })) << line;
    }
    HostSocket gone = HostSocket::connect(path_);
    gone.write("CONN");
    gone.close();
    settle();
    EXPECT_TRUE(inbox_.empty()) << "the guest hears of none of them";
}

TEST_F(VsockDeviceTest, TheGuestReachesWhoeverListensForThePort) {
    const HostSocket listener = listen(22);
    const Ports ports{.guest = 1000, .host = 22};
    HostSocket server = connect_to_host(listener, ports);
    ASSERT_TRUE(server.open());
    send(Op::Data, ports, "ping");
    EXPECT_TRUE(until([&] {
        server.read();
        return server.data == "ping";
    }));
    server.write("pong");
    EXPECT_EQ(next().payload, "pong");
}

TEST_F(VsockDeviceTest, WhereNobodyListensTheGuestIsRefused) {
    for (const std::uint32_t port : {23U, 0xffff'fffeU}) {
        send(Op::Request, {.guest = 1000, .host = port});
        const Received answer = next();
        EXPECT_EQ(answer.op(), Op::Reset);
        EXPECT_EQ(answer.header.src_port, port);
        EXPECT_EQ(answer.header.dst_port, 1000U);
    }
    const std::string stale = path_ + "_24";
    { const HostSocket dead = HostSocket::listen(stale); }
    ASSERT_TRUE(std::filesystem::exists(stale));
    send(Op::Request, {.guest = 1000, .host = 24});
    EXPECT_EQ(next().op(), Op::Reset);
}

TEST_F(VsockDeviceTest, WhatIsUnknownIsReset) {
    const Ports nobody{.guest = 5, .host = 6};
    for (const Op op : {Op::Response, Op::Shutdown, Op::Data, Op::CreditUpdate, Op::CreditRequest,
                        Op::Invalid, Op{8}, Op{0xffff}}) {
        send(op, nobody);
        const Received answer = next();
        EXPECT_EQ(answer.op(), Op::Reset) << static_cast<int>(op);
        EXPECT_EQ(answer.header.src_port, 6U);
        EXPECT_EQ(answer.header.dst_port, 5U);
    }
    PacketHeader odd = header(Op::Request, nobody);
    odd.type = 2;
    send(odd);
    EXPECT_EQ(next().op(), Op::Reset);
    odd = header(Op::Request, nobody);
    odd.dst_cid = 77;
    send(odd);
    EXPECT_EQ(next().header.src_cid, 77U);
    send(Op::Reset, nobody);
    settle();
    EXPECT_TRUE(inbox_.empty()) << "a reset is not answered";
}

TEST_F(VsockDeviceTest, WhatIsMalformedEndsItsConnection) {
    const HostSocket listener = listen(22);
    std::uint32_t port = 1000;
    const auto ends = [&](PacketHeader bad) {
        const Ports ports{.guest = ++port, .host = 22};
        HostSocket server = connect_to_host(listener, ports);
        bad.src_port = ports.guest;
        bad.dst_port = ports.host;
        send(bad, "12345");
        const Received answer = next();
        EXPECT_EQ(answer.op(), Op::Reset);
        EXPECT_EQ(answer.header.dst_port, ports.guest);
        EXPECT_TRUE(until([&] {
            server.read();
            return server.ended();
        }));
        send(Op::Data, ports, "x");
        EXPECT_EQ(next().op(), Op::Reset) << "it is not known any longer";
    };
    ends(header(Op::Data, {}, 6));
    ends(header(Op{9}, {}, 0));
    ends(header(Op::Request, {}, 0));
    ends(header(Op::Response, {}, 0));
    PacketHeader other_type = header(Op::Data, {}, 5);
    other_type.type = 2;
    ends(other_type);
}

TEST_F(VsockDeviceTest, APacketWithoutAHeaderIsGivenBack) {
    transmit_->describe(0, {kTransmitBuffers, sizeof(PacketHeader) - 1, 0, 0});
    transmit_->make_available(0);
    next_transmit_ = 1;
    busy_.insert(0);
    device_->queue_notified(kTransmitQueue);
    EXPECT_TRUE(until([&] { return busy_.empty(); }));
    settle();
    EXPECT_TRUE(inbox_.empty());
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(VsockDeviceTest, WithoutRoomForRepliesTheGuestWaits) {
    recycle_ = false;
    const Ports nobody{.guest = 5, .host = 6};
    const auto send_many = [&](std::size_t count) {
        std::size_t sent = 0;
        return cxlvm::test::serve_until(loop_, [&] {
            take_transmitted();
            while (sent < count && busy_.size() < kRing) {
                send(Op::Data, nobody);
                ++sent;
            }
            return sent == count;
        });
    };
    const std::size_t room = kReceiveCount + ReceiveQueue::kReplies;
    ASSERT_TRUE(send_many(room + kRing));
    EXPECT_TRUE(until([&] { return inbox_.size() == kReceiveCount; }));
    for (int i = 0; i < 100; ++i) {
        loop_.run_ready();
    }
    take_transmitted();
    EXPECT_EQ(busy_.size(), kRing) << "a full ring waits";

    std::size_t given = kReceiveCount;
    EXPECT_TRUE(until([&] {
        while (given < room + kRing && given - inbox_.size() < kRing) {
            give_buffer(static_cast<std::uint16_t>(given++ % kRing));
        }
        device_->queue_notified(kReceiveQueue);
        return inbox_.size() == room + kRing;
    }));
    EXPECT_TRUE(busy_.empty());
}

TEST_F(VsockDeviceTest, AReceiveBufferWithoutRoomForAPacketNeedsAReset) {
    reset();
    activate();
    receive_->describe(0, {kReceiveBuffers, sizeof(PacketHeader), kDescriptorWrite, 0});
    receive_->make_available(0);
    send(Op::Data, {.guest = 1, .host = 2});
    EXPECT_TRUE(until([&] { return host_.failure != nullptr; }));
    reset();
    host_.failure = nullptr;
    activate();
    give_buffers(4);
    send(Op::Data, {.guest = 1, .host = 2});
    EXPECT_EQ(next().op(), Op::Reset);
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(VsockDeviceTest, ABrokenRingNeedsAReset) {
    for (auto* const ring : {&receive_, &transmit_, &event_}) {
        host_.failure = nullptr;
        reset();
        activate();
        (*ring)->set_avail_index(1000);
        device_->queue_notified(kTransmitQueue);
        send(Op::Data, {.guest = 1, .host = 2});
        EXPECT_TRUE(cxlvm::test::serve_until(loop_, [&] { return host_.failure != nullptr; }));
    }
}

TEST_F(VsockDeviceTest, EventBuffersAreKept) {
    event_->describe(0, {0x3'0000, 4, kDescriptorWrite, 0});
    event_->make_available(0);
    device_->queue_notified(kEventQueue);
    settle();
    EXPECT_EQ(event_->used_index(), 0U);
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(VsockDeviceTest, HalfOpenConnectionsEnd) {
    reset();
    device_.reset();
    make(std::chrono::milliseconds(1));
    activate();
    give_buffers(kReceiveCount);
    HostSocket silent = HostSocket::connect(path_);
    HostSocket unanswered = HostSocket::connect(path_);
    silent.write("CONNECT ");
    unanswered.write("CONNECT 5\n");
    const Received request = next();
    EXPECT_EQ(request.op(), Op::Request);
    const Received reset = next();
    EXPECT_EQ(reset.op(), Op::Reset);
    EXPECT_EQ(reset.header.src_port, request.header.src_port);
    EXPECT_TRUE(until([&] {
        silent.read();
        unanswered.read();
        return silent.ended() && unanswered.ended();
    }));
    EXPECT_EQ(silent.data + unanswered.data, "");
}

TEST_F(VsockDeviceTest, WhatTheGuestNeverHeardOfEndsWithoutIt) {
    reset();
    device_.reset();
    make(std::chrono::milliseconds(1));
    activate();
    HostSocket client = HostSocket::connect(path_);
    client.write("CONNECT 5\n");
    EXPECT_TRUE(until([&] {
        client.read();
        return client.ended();
    }));
    // Its first buffer comes now, and is for the next client.
    HostSocket other = HostSocket::connect(path_);
    other.write("CONNECT 6\n");
    give_buffers(kReceiveCount);
    const Received packet = next();
    EXPECT_EQ(packet.op(), Op::Request);
    EXPECT_EQ(packet.header.dst_port, 6U);
}

TEST_F(VsockDeviceTest, TheNumberOfConnectionsIsBounded) {
    const HostSocket listener = listen(22);
    std::vector<HostSocket> servers;
    Ports ports{.guest = 1000, .host = 22};
    while (servers.size() < ConnectionTable::kConnections) {
        servers.push_back(connect_to_host(listener, ports));
        ASSERT_TRUE(servers.back().open());
        ++ports.guest;
    }
    send(Op::Request, ports);
    EXPECT_EQ(next().op(), Op::Reset);
    HostSocket client = HostSocket::connect(path_);
    EXPECT_TRUE(until([&] {
        client.read();
        return client.ended();
    }));

    --ports.guest;
    send(Op::Reset, ports);
    HostSocket last = std::move(servers.back());
    EXPECT_TRUE(until([&] {
        last.read();
        return last.ended();
    }));
    EXPECT_TRUE(connect_to_host(listener, ports).open()) << "there is room for one again";
}

TEST_F(VsockDeviceTest, AResetEndsEverythingAndTheNextDriverBeginsAnew) {
    const HostSocket listener = listen(22);
    std::vector<HostSocket> sockets;
    std::vector<Ports> all;
    for (std::uint32_t i = 0; i < 8; ++i) {
        all.push_back({.guest = 1000 + i, .host = 22});
        sockets.push_back(connect_to_host(listener, all.back()));
        sockets.push_back(connect_to_guest(2000 + i, all.emplace_back()));
    }
    sockets.push_back(HostSocket::connect(path_));
    sockets.back().write("CONNECT 3");
    for (const HostSocket& socket : sockets) {
        socket.write(std::string(100'000, 'x'));
    }
    for (const Ports& ports : all) {
        send(Op::Data, ports, std::string(2000, 'y'));
    }
    loop_.run_ready();
    reset();
    for (HostSocket& socket : sockets) {
        EXPECT_TRUE(cxlvm::test::serve_until(loop_, [&] {
            socket.read();
            return socket.ended();
        }));
    }

    HostSocket early = HostSocket::connect(path_);
    early.write("CONNECT 9\n");
    activate();
    give_buffers(4);
    EXPECT_EQ(next().header.dst_port, 9U) << "who came in between has waited";
    Ports ports;
    EXPECT_TRUE(connect_to_guest(1000, ports).open());
}

TEST_F(VsockDeviceTest, ResetsComeAtAnyMoment) {
    const HostSocket listener = listen(22);
    for (int rounds = 0; rounds < 12; ++rounds) {
        HostSocket client = HostSocket::connect(path_);
        client.write("CONNECT 9\nand a stream");
        send(Op::Request, {.guest = 1, .host = 22});
        send(Op::Data, {.guest = 1, .host = 22}, std::string(3000, 'z'));
        send(Op::Data, {.guest = 2, .host = 22});
        for (int i = 0; i < rounds; ++i) {
            loop_.run_ready();
        }
        reset();
        activate();
        give_buffers(kReceiveCount);
    }
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
