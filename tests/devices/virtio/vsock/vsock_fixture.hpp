// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/vsock/vsock_device.hpp"
#include "io/fd.hpp"
#include "tests/devices/virtio/device_fixture.hpp"
#include "tests/support/serve_until.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::test {

/// A folder of its own, which is removed with all that is in it.
class SocketFolder {
  public:
    SocketFolder() {
        std::string name = "/tmp/vsockXXXXXX";
        EXPECT_NE(::mkdtemp(name.data()), nullptr);
        path_ = name;
    }
    SocketFolder(const SocketFolder&) = delete;
    SocketFolder& operator=(const SocketFolder&) = delete;
    ~SocketFolder() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

/// A socket of the test's that does not wait.
class HostSocket {
  public:
    explicit HostSocket(int fd) : fd_(fd) {}
    static HostSocket connect(const std::string& path) {
        HostSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_un address = io::unix_address(path).value();
        EXPECT_EQ(
            ::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            0);
        EXPECT_EQ(::fcntl(socket.fd(), F_SETFL, O_NONBLOCK), 0);
        return socket;
    }
    static HostSocket listen(const std::string& path) {
        HostSocket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const sockaddr_un address = io::unix_address(path).value();
        EXPECT_EQ(::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
                  0);
        EXPECT_EQ(::listen(socket.fd(), 64), 0);
        return socket;
    }
    /// Somebody has connected, or -1.
    [[nodiscard]] HostSocket accept() const {
        return HostSocket(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] bool open() const { return static_cast<bool>(fd_); }
    void close() { fd_.reset(); }
    void end_writing() const { EXPECT_EQ(::shutdown(fd(), SHUT_WR), 0); }

    /// Bytes taken of `text`.
    std::size_t write(std::string_view text) const {
        const ssize_t count = ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL);
        return count < 0 ? 0 : static_cast<std::size_t>(count);
    }
    /// Reads what is there; ended() then says whether that was all for ever.
    void read() {
        std::string piece(65536, '?');
        while (!ended_) {
            const ssize_t count = ::recv(fd(), piece.data(), piece.size(), 0);
            if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
                return;
            }
            ended_ = count <= 0;
            data.append(piece, 0, count < 0 ? 0 : static_cast<std::size_t>(count));
        }
    }
    [[nodiscard]] bool ended() const { return ended_; }
    /// Whether the other side has closed, whatever is still to be read.
    [[nodiscard]] bool hung_up() const {
        pollfd poll{.fd = fd(), .events = 0, .revents = 0};
        return ::poll(&poll, 1, 0) == 1 && (poll.revents & POLLHUP) != 0;
    }
    std::string data;

  private:
    io::Fd fd_;
    bool ended_ = false;
};

}  // namespace cxlvm::test

namespace cxlvm::virtio::vsock {

/// A packet that the guest has received.
struct Received {
    PacketHeader header{};
    std::string payload;
    [[nodiscard]] Op op() const { return Op{header.op}; }
};

inline constexpr std::uint32_t kCid = 42;
inline constexpr std::uint32_t kGuestWindow = 32768;

/// The device, and a driver of it that says what it is told to.
class VsockFixture : public testing::Test {
  protected:
    static constexpr std::uint16_t kRing = 64;
    static constexpr std::uint64_t kReceiveBuffers = cxlvm::test::kHighBase;
    static constexpr std::uint64_t kTransmitBuffers = 0x4'0000;
    static constexpr std::uint32_t kBuffer = 4096;
    static constexpr std::uint16_t kReceiveCount = 16;

    void make(std::chrono::milliseconds tick = std::chrono::seconds(1000)) {
        device_.emplace(VsockConfig{.cid = kCid, .path = path_}, loop_, log_, tick);
        device_->attach(host_);
        rings_.clear();
        for (const QueueLimits& limits : device_->queues()) {
            rings_.emplace_back(memory_, limits);
        }
    }
    void activate() {
        std::ranges::fill(memory_.span(Gpa(0), kTransmitBuffers).value(), std::byte{0});
        receive_.emplace(memory_, kRing, 0x1000);
        transmit_.emplace(memory_, kRing, 0x1'1000);
        event_.emplace(memory_, std::uint16_t{8}, 0x2'1000);
        ASSERT_TRUE(rings_[kReceiveQueue].start(receive_->setup()));
        ASSERT_TRUE(rings_[kTransmitQueue].start(transmit_->setup()));
        ASSERT_TRUE(rings_[kEventQueue].start(event_->setup()));
        next_transmit_ = 0;
        inbox_.clear();
        busy_.clear();
        ASSERT_TRUE(device_->activate({.features = kFeatureVersion1, .queues = rings_}));
    }
    void SetUp() override {
        make();
        activate();
        give_buffers(kReceiveCount);
    }
    void TearDown() override {
        if (device_) {
            reset();
        }
    }
    void reset() {
        const int before = host_.resets;
        device_->reset();
        EXPECT_TRUE(cxlvm::test::serve_until(loop_, [&] { return host_.resets > before; }));
    }

    void give_buffers(std::uint16_t count) {
        for (std::uint16_t i = 0; i < count; ++i) {
            give_buffer(i);
        }
        device_->queue_notified(kReceiveQueue);
    }
    void give_buffer(std::uint16_t head) {
        receive_->describe(
            head, {kReceiveBuffers + std::uint64_t{kBuffer} * head, kBuffer, kDescriptorWrite, 0});
        receive_->make_available(head);
    }

    static PacketHeader header(Op op, Ports ports, std::uint32_t len = 0) {
        PacketHeader header{};
        header.src_cid = kCid;
        header.dst_cid = kHostCid;
        header.src_port = ports.guest;
        header.dst_port = ports.host;
        header.len = len;
        header.type = kTypeStream;
        header.op = static_cast<std::uint16_t>(op);
        header.buf_alloc = kGuestWindow;
        return header;
    }
    void send(const PacketHeader& header, const std::string& payload = {}) {
        take_transmitted();
        const std::uint16_t head = next_transmit_;
        ASSERT_EQ(busy_.count(head), 0U) << "the test sends more than the ring has room for";
        next_transmit_ = static_cast<std::uint16_t>((next_transmit_ + 1) % kRing);
        busy_.insert(head);
        const std::uint64_t base = kTransmitBuffers + std::uint64_t{kBuffer} * head;
        transmit_->store(base, header);
        ASSERT_LE(payload.size(), kBuffer - sizeof(header));
        ASSERT_TRUE(payload.empty() ||
                    memory_.write(Gpa(base + sizeof(header)), std::as_bytes(std::span(payload))));
        transmit_->describe(
            head, {base, static_cast<std::uint32_t>(sizeof(header) + payload.size()), 0, 0});
        transmit_->make_available(head);
        device_->queue_notified(kTransmitQueue);
    }
    void send(Op op, Ports ports, const std::string& payload = {}) {
        send(header(op, ports, static_cast<std::uint32_t>(payload.size())), payload);
    }
    void take_transmitted() {
        while (const auto used = transmit_->take_used()) {
            EXPECT_EQ(used->length, 0U);
            EXPECT_EQ(busy_.erase(static_cast<std::uint16_t>(used->id)), 1U);
        }
    }
    /// Takes what the device has sent into the inbox, and gives the buffers back.
    void collect() {
        bool any = false;
        while (const auto used = receive_->take_used()) {
            const auto head = static_cast<std::uint16_t>(used->id);
            const std::uint64_t base = kReceiveBuffers + std::uint64_t{kBuffer} * head;
            Received packet{.header = receive_->load<PacketHeader>(base), .payload = {}};
            ASSERT_EQ(used->length, sizeof(PacketHeader) + packet.header.len);
            packet.payload.resize(packet.header.len);
            ASSERT_TRUE(packet.payload.empty() ||
                        memory_.read(Gpa(base + sizeof(PacketHeader)),
                                     std::as_writable_bytes(std::span(packet.payload))));
            inbox_.push_back(packet);
            if (recycle_) {
                give_buffer(head);
                any = true;
            }
        }
        if (any) {
            device_->queue_notified(kReceiveQueue);
        }
    }
    template <typename Condition>
    [[nodiscard]] bool until(Condition condition) {
        return cxlvm::test::serve_until(loop_, [&] {
            collect();
            take_transmitted();
            return condition();
        });
    }
    /// The next packet that the guest gets.
    Received next() {
        EXPECT_TRUE(until([&] { return !inbox_.empty(); }));
        if (inbox_.empty()) {
            return {};
        }
        Received packet = inbox_.front();
        inbox_.pop_front();
        return packet;
    }
    /// What the guest has sent until now has been looked at, and what it caused at once is in the
    /// inbox.
    void settle() {
        const Ports nobody{.guest = 60000, .host = 60000};
        const auto is_answer = [&](const Received& packet) {
            return packet.header.dst_port == nobody.guest;
        };
        send(Op::CreditUpdate, nobody);
        EXPECT_TRUE(until([&] { return std::ranges::any_of(inbox_, is_answer); }));
        std::erase_if(inbox_, is_answer);
    }

    /// A connection from the host to the guest's `port`.
    cxlvm::test::HostSocket connect_to_guest(std::uint32_t port, Ports& ports) {
        auto client = cxlvm::test::HostSocket::connect(path_);
        EXPECT_GT(client.write("CONNECT " + std::to_string(port) + "\n"), 0U);
        const Received request = next();
        EXPECT_EQ(request.op(), Op::Request);
        EXPECT_EQ(request.header.dst_port, port);
        ports = {.guest = port, .host = request.header.src_port};
        send(Op::Response, ports);
        const std::string answer = "OK " + std::to_string(ports.host) + "\n";
        EXPECT_TRUE(until([&] {
            client.read();
            return client.data.size() >= answer.size() || client.ended();
        }));
        EXPECT_EQ(client.data, answer);
        client.data.clear();
        return client;
    }
    /// A connection from the guest to `listener`, which listens for the host's `ports.host`.
    cxlvm::test::HostSocket connect_to_host(const cxlvm::test::HostSocket& listener, Ports ports) {
        send(Op::Request, ports);
        const Received response = next();
        EXPECT_EQ(response.op(), Op::Response);
        EXPECT_EQ(response.header.dst_port, ports.guest);
        EXPECT_EQ(response.header.buf_alloc, kBufferSize);
        return listener.accept();
    }
    [[nodiscard]] cxlvm::test::HostSocket listen(std::uint32_t port) const {
        return cxlvm::test::HostSocket::listen(path_ + "_" + std::to_string(port));
    }

    io::Log log_{2, io::LogLevel::Off};
    cxlvm::test::SocketFolder folder_;
    const std::string path_ = folder_.file("v.sock");
    GuestMemory memory_{cxlvm::test::two_blocks()};
    io::EventLoop loop_{{.entries = 64, .name = "test"}};
    virtio::test::FakeDeviceHost host_;
    std::optional<VsockDevice> device_;
    std::vector<SplitQueue> rings_;
    std::optional<cxlvm::test::VirtioDriver> receive_;
    std::optional<cxlvm::test::VirtioDriver> transmit_;
    std::optional<cxlvm::test::VirtioDriver> event_;
    std::uint16_t next_transmit_ = 0;
    std::set<std::uint16_t> busy_;
    std::deque<Received> inbox_;
    bool recycle_ = true;
};

}  // namespace cxlvm::virtio::vsock
