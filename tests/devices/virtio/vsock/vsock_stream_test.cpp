// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "devices/virtio/vsock/vsock_device.hpp"
#include "tests/devices/virtio/vsock/vsock_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::virtio::vsock {
namespace {

using cxlvm::test::HostSocket;

/// Bytes that tell their place.
std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string text(size, '\0');
    for (char& byte : text) {
        seed = seed * 1103515245 + 12345;
        byte = static_cast<char>(seed >> 16);
    }
    return text;
}

class VsockStreamTest : public VsockFixture {
  protected:
    static constexpr Ports kPorts{.guest = 1000, .host = 22};

    void SetUp() override {
        VsockFixture::SetUp();
        listener_.emplace(listen(22));
    }
    HostSocket connect(Ports ports = kPorts) { return connect_to_host(*listener_, ports); }

    /// Takes account of the credit in what has come.
    void take_credit(const Received& packet) {
        if (packet.header.dst_port == kPorts.guest) {
            forwarded_ = packet.header.fwd_cnt;
        }
    }
    /// Sends what the credit allows of `text`, from `sent_` on, as a guest does.
    void send_with_credit(const std::string& text) {
        while (!inbox_.empty()) {
            take_credit(inbox_.front());
            inbox_.pop_front();
        }
        while (sent_ < text.size() && sent_ - forwarded_ < kBufferSize && busy_.size() < kRing) {
            const std::size_t size = std::min({std::size_t{kBufferSize} - (sent_ - forwarded_),
                                               text.size() - sent_, std::size_t{4000}});
            send(Op::Data, kPorts, text.substr(sent_, size));
            sent_ += size;
        }
    }
    /// Sends until the host, which does not read, takes no more.
    void fill(const std::string& text) {
        std::size_t before = 0;
        do {
            before = sent_;
            send_with_credit(text);
            settle();
            for (int i = 0; i < 20; ++i) {
                loop_.run_ready();
            }
            collect();
            take_transmitted();
        } while (sent_ != before || !busy_.empty());
    }

    std::optional<HostSocket> listener_;
    std::size_t sent_ = 0;
    std::uint32_t forwarded_ = 0;
};

TEST_F(VsockStreamTest, ASlowReaderGetsEverythingInOrderAndStallsNobody) {
    const std::string text = pattern(2'000'000);
    HostSocket slow = connect();
    fill(text);
    EXPECT_LT(sent_, text.size());
    EXPECT_EQ(sent_ - forwarded_, kBufferSize) << "the guest has used all its credit";

    const Ports others{.guest = 1001, .host = 22};
    HostSocket quick = connect(others);
    send(Op::Data, others, "quick");
    EXPECT_TRUE(until([&] {
        quick.read();
        return quick.data == "quick";
    }));
    EXPECT_TRUE(until([&] {
        slow.read();
        send_with_credit(text);
        return slow.data.size() >= text.size();
    }));
    EXPECT_TRUE(slow.data == text);
}

TEST_F(VsockStreamTest, AGuestWithoutCreditIsReset) {
    const std::string text = pattern(2'000'000);
    HostSocket slow = connect();
    fill(text);
    send(Op::Data, kPorts, "x");
    const Received answer = next();
    EXPECT_EQ(answer.op(), Op::Reset);
    EXPECT_EQ(answer.header.dst_port, kPorts.guest);
    EXPECT_TRUE(until([&] {
        slow.read();
        return slow.ended();
    }));
    EXPECT_TRUE(connect().open()) << "the next connection of that name";
}

TEST_F(VsockStreamTest, TheGuestIsToldWhenItAsks) {
    HostSocket server = connect();
    send(Op::Data, kPorts, "hello");
    EXPECT_TRUE(until([&] {
        server.read();
        return server.data == "hello";
    }));
    EXPECT_TRUE(inbox_.empty()) << "five bytes are not worth a packet";
    send(Op::CreditRequest, kPorts);
    const Received update = next();
    EXPECT_EQ(update.op(), Op::CreditUpdate);
    EXPECT_EQ(update.header.fwd_cnt, 5U);
    EXPECT_EQ(update.header.buf_alloc, kBufferSize);
}

TEST_F(VsockStreamTest, TheGuestNeverGetsMoreThanItHasRoomFor) {
    PacketHeader request = header(Op::Request, kPorts);
    request.buf_alloc = 100;
    send(request);
    EXPECT_EQ(next().op(), Op::Response);
    HostSocket server = listener_->accept();
    const std::string text = pattern(1000);
    ASSERT_EQ(server.write(text), text.size());
    std::string got;
    std::uint32_t read = 0;
    while (got.size() < text.size()) {
        const Received packet = next();
        if (packet.op() == Op::CreditRequest) {
            ASSERT_EQ(got.size(), read + 100U) << "it is asked when there is none left";
            read = static_cast<std::uint32_t>(got.size());
            PacketHeader update = header(Op::CreditUpdate, kPorts);
            update.buf_alloc = 100;
            update.fwd_cnt = read;
            send(update);
            continue;
        }
        ASSERT_EQ(packet.op(), Op::Data);
        got += packet.payload;
        ASSERT_LE(got.size(), read + 100U);
    }
    EXPECT_EQ(got, text);
}

TEST_F(VsockStreamTest, MuchDataComesToTheGuestInOrder) {
    HostSocket server = connect();
    const std::string text = pattern(1'000'000);
    std::size_t written = 0;
    std::string got;
    EXPECT_TRUE(until([&] {
        written += server.write(std::string_view(text).substr(written));
        while (!inbox_.empty()) {
            got += inbox_.front().payload;
            inbox_.pop_front();
            PacketHeader update = header(Op::CreditUpdate, kPorts);
            update.fwd_cnt = static_cast<std::uint32_t>(got.size());
            if (busy_.size() < kRing) {
                send(update);
            }
        }
        return got.size() == text.size();
    }));
    EXPECT_TRUE(got == text);
}

TEST_F(VsockStreamTest, ConnectionsTakeTurns) {
    reset();
    activate();
    give_buffers(2);
    std::vector<HostSocket> servers;
    for (std::uint32_t i = 0; i < 8; ++i) {
        servers.push_back(connect({.guest = 1000 + i, .host = 22}));
    }
    recycle_ = false;
    settle();  // uses one of the two
    for (const HostSocket& server : servers) {
        ASSERT_GE(server.write(std::string(30'000, 'x')), 30'000U);
    }
    // All have been seen to be readable before there are buffers; the last one is in use.
    EXPECT_TRUE(until([&] { return !inbox_.empty(); }));
    for (int i = 0; i < 20; ++i) {
        loop_.run_ready();
    }
    inbox_.clear();
    recycle_ = true;
    give_buffers(2);
    std::map<std::uint32_t, int> packets;
    for (int i = 0; i < 32; ++i) {
        const Received packet = next();
        ASSERT_EQ(packet.op(), Op::Data);
        ++packets[packet.header.dst_port];
        if (i % 8 == 7) {
            for (const auto& [port, count] : packets) {
                EXPECT_NEAR(count, (i + 1) / 8, 1) << port;
            }
            EXPECT_EQ(packets.size(), 8U);
        }
    }
}

TEST_F(VsockStreamTest, TheGuestMayEndEitherHalf) {
    HostSocket server = connect();
    PacketHeader shutdown = header(Op::Shutdown, kPorts);
    shutdown.flags = kShutdownSend;
    send(Op::Data, kPorts, "last words");
    send(shutdown);
    EXPECT_TRUE(until([&] {
        server.read();
        return server.ended();
    }));
    EXPECT_EQ(server.data, "last words");
    server.write("the answer");
    EXPECT_EQ(next().payload, "the answer");
    send(Op::Data, kPorts, "nevertheless");
    EXPECT_EQ(next().op(), Op::Reset) << "it said that it would not send";

    const Ports ports{.guest = 1001, .host = 22};
    HostSocket other = connect(ports);
    shutdown = header(Op::Shutdown, ports);
    shutdown.flags = kShutdownReceive;
    send(shutdown);
    settle();
    EXPECT_EQ(other.write("nobody listens"), 0U);
    EXPECT_EQ(errno, EPIPE);
    send(Op::Data, ports, "still here");
    EXPECT_TRUE(until([&] {
        other.read();
        return other.data == "still here";
    }));
    EXPECT_FALSE(other.ended());
}

TEST_F(VsockStreamTest, TheHostMayEndItsHalf) {
    HostSocket server = connect();
    server.write("last words");
    server.end_writing();
    EXPECT_EQ(next().payload, "last words");
    const Received shutdown = next();
    EXPECT_EQ(shutdown.op(), Op::Shutdown);
    EXPECT_EQ(shutdown.header.flags, kShutdownSend);
    send(Op::Data, kPorts, "the answer");
    EXPECT_TRUE(until([&] {
        server.read();
        return server.data == "the answer";
    }));
}

TEST_F(VsockStreamTest, AHostThatClosesEndsBothHalves) {
    HostSocket server = connect();
    server.write("last words");
    server.close();
    EXPECT_EQ(next().payload, "last words");
    const Received shutdown = next();
    EXPECT_EQ(shutdown.op(), Op::Shutdown);
    EXPECT_EQ(shutdown.header.flags, kShutdownBoth);
    send(Op::Data, kPorts, "too late");
    settle();
    EXPECT_TRUE(inbox_.empty()) << "what was on its way when the host closed is no mistake";
    send(Op::Reset, kPorts);
    EXPECT_TRUE(connect().open()) << "the name is free again";
}

TEST_F(VsockStreamTest, AHostThatClosesAfterItsHalfIsNoticed) {
    reset();
    device_.reset();
    make(std::chrono::milliseconds(1));
    activate();
    give_buffers(kReceiveCount);
    HostSocket server = connect();
    server.end_writing();
    EXPECT_EQ(next().header.flags, kShutdownSend);
    server.close();
    const Received shutdown = next();
    EXPECT_EQ(shutdown.op(), Op::Shutdown);
    EXPECT_EQ(shutdown.header.flags, kShutdownBoth);
}

TEST_F(VsockStreamTest, AHostThatClosesWithDataUnreadIsAReset) {
    HostSocket server = connect();
    send(Op::Data, kPorts, "never read");
    settle();
    for (int i = 0; i < 20; ++i) {
        loop_.run_ready();
    }
    server.close();
    EXPECT_EQ(next().op(), Op::Reset);
}

TEST_F(VsockStreamTest, WhatTheGuestHadSentBeforeItsEndReachesASlowReader) {
    const std::string text = pattern(2'000'000);
    HostSocket slow = connect();
    fill(text);
    PacketHeader shutdown = header(Op::Shutdown, kPorts);
    shutdown.flags = kShutdownBoth;
    send(shutdown);
    EXPECT_EQ(next().op(), Op::Reset) << "the guest has done with it";
    HostSocket again = connect();
    EXPECT_TRUE(again.open()) << "the name is free already";
    EXPECT_TRUE(until([&] {
        slow.read();
        return slow.ended();
    }));
    EXPECT_EQ(slow.data.size(), sent_);
    EXPECT_TRUE(slow.data == text.substr(0, sent_));
}

TEST_F(VsockStreamTest, AReaderThatTakesNothingMoreIsGivenUp) {
    reset();
    device_.reset();
    make(std::chrono::milliseconds(1));
    activate();
    give_buffers(kReceiveCount);
    HostSocket silent = connect();
    fill(pattern(2'000'000));
    PacketHeader shutdown = header(Op::Shutdown, kPorts);
    shutdown.flags = kShutdownBoth;
    send(shutdown);
    EXPECT_EQ(next().op(), Op::Reset);
    ASSERT_TRUE(until([&] { return silent.hung_up(); }));
    silent.read();
    EXPECT_LT(silent.data.size(), sent_);
}

TEST_F(VsockStreamTest, AGuestThatAbortsCutsTheStream) {
    HostSocket slow = connect();
    fill(pattern(2'000'000));
    send(Op::Reset, kPorts);
    settle();
    EXPECT_TRUE(until([&] {
        slow.read();
        return slow.ended();
    }));
    EXPECT_LT(slow.data.size(), sent_);
}

TEST_F(VsockStreamTest, BuffersMayBeInPieces) {
    reset();
    activate();
    // A header in three pieces, and 10 bytes behind it in two.
    const std::array<std::uint32_t, 5> sizes{1, 20, 26, 2, 5};
    for (std::uint16_t chain = 0; chain < 4; ++chain) {
        std::uint64_t address = kReceiveBuffers + std::uint64_t{kBuffer} * chain;
        for (std::uint16_t i = 0; i < sizes.size(); ++i) {
            const bool last = i + 1U == sizes.size();
            receive_->describe(
                static_cast<std::uint16_t>(chain * 8 + i),
                {address, sizes[i],
                 static_cast<std::uint16_t>(kDescriptorWrite | (last ? 0 : kDescriptorNext)),
                 static_cast<std::uint16_t>(chain * 8 + i + 1)});
            address += sizes[i];
        }
        receive_->make_available(static_cast<std::uint16_t>(chain * 8));
    }
    device_->queue_notified(kReceiveQueue);
    send(Op::Request, kPorts);
    ASSERT_TRUE(cxlvm::test::serve_until(loop_, [&] { return receive_->used_index() == 1; }));
    const HostSocket server = listener_->accept();
    server.write("0123456789abcdef");
    ASSERT_TRUE(cxlvm::test::serve_until(loop_, [&] { return receive_->used_index() == 3; }));
    std::string got;
    (void)receive_->take_used();
    while (const auto used = receive_->take_used()) {
        const std::uint64_t base = kReceiveBuffers + std::uint64_t{kBuffer} * (used->id / 8);
        const auto packet = receive_->load<PacketHeader>(base);
        EXPECT_EQ(used->length, sizeof(packet) + packet.len);
        for (std::uint32_t i = 0; i < packet.len; ++i) {
            got += receive_->load<char>(base + sizeof(packet) + i);
        }
    }
    EXPECT_EQ(got, "0123456789abcdef");
}

TEST_F(VsockStreamTest, NothingAllocates) {
    const HostSocket server = connect();
    const PacketHeader data = header(Op::Data, kPorts, 8);
    transmit_->store(kTransmitBuffers, data);
    transmit_->describe(0, {kTransmitBuffers, sizeof(data) + 8, 0, 0});
    take_transmitted();
    std::array<char, 64> buffer{};
    int round_trips = 0;
    const cxlvm::test::AllocationCounter counter;
    for (; round_trips < 100; ++round_trips) {
        transmit_->make_available(0);
        device_->queue_notified(kTransmitQueue);
        const bool sent = cxlvm::test::serve_until(
            loop_, [&] { return ::recv(server.fd(), buffer.data(), buffer.size(), 0) == 8; });
        (void)::send(server.fd(), buffer.data(), 8, MSG_NOSIGNAL);
        std::optional<UsedElement> received;
        const bool came = cxlvm::test::serve_until(loop_, [&] {
            received = receive_->take_used();
            return received.has_value() && transmit_->take_used().has_value();
        });
        if (!sent || !came) {
            break;
        }
        give_buffer(static_cast<std::uint16_t>(received->id));
    }
    EXPECT_EQ(counter.count(), 0U);
    EXPECT_EQ(round_trips, 100);
}

}  // namespace
}  // namespace cxlvm::virtio::vsock
