// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/net/tap.hpp"
#include "io/event_loop.hpp"
#include "tests/io/loop_support.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::test {

/// A pair of sockets that keep messages apart: a double for a tap's queue and the network behind
/// it.
struct FramePair {
    explicit FramePair(int type = SOCK_SEQPACKET) {
        int ends[2] = {-1, -1};
        EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        device.reset(ends[0]);
        network.reset(ends[1]);
    }
    void put(const std::string& bytes) const {
        ASSERT_EQ(::send(network.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    /// Nothing when nothing has come.
    [[nodiscard]] std::optional<std::string> get() const {
        std::string bytes(70000, '?');
        const ssize_t count = ::recv(network.get(), bytes.data(), bytes.size(), 0);
        if (count < 0) {
            return std::nullopt;
        }
        bytes.resize(static_cast<std::size_t>(count));
        return bytes;
    }
    io::Fd device;
    io::Fd network;
};

/// Double for a tap, on sockets.
class FakeBackend final : public virtio::net::Backend {
  public:
    FakeBackend(unsigned count, std::uint64_t offloads) : offloads_(offloads) {
        for (unsigned i = 0; i < count; ++i) {
            FramePair& pair = networks.emplace_back();
            ports_.push_back(
                std::make_unique<virtio::net::TapPort>(std::exchange(pair.device, io::Fd())));
        }
    }
    [[nodiscard]] const char* name() const noexcept override { return "double"; }
    [[nodiscard]] std::uint64_t offloads() const noexcept override { return offloads_; }
    [[nodiscard]] std::span<const std::unique_ptr<virtio::net::Port>> ports()
        const noexcept override {
        return ports_;
    }
    [[nodiscard]] bool set_guest_offloads(std::uint64_t features) noexcept override {
        guest_offloads = features;
        return possible;
    }
    [[nodiscard]] bool set_pairs(unsigned used) noexcept override {
        pairs = used;
        return possible;
    }

    bool possible = true;
    std::uint64_t guest_offloads = 0;
    unsigned pairs = 0;
    std::vector<FramePair> networks;

  private:
    const std::uint64_t offloads_;
    std::vector<std::unique_ptr<virtio::net::Port>> ports_;
};

class FakeNetHost final : public virtio::DeviceHost {
  public:
    void notify_queue(std::uint16_t queue) noexcept override { notified.at(queue) += 1; }
    void update_config(std::size_t offset, std::span<const std::byte> data) noexcept override {
        EXPECT_EQ(offset, 6U);
        EXPECT_EQ(data.size(), 2U);
        link.push_back(data[0] == std::byte{1});
    }
    void fail(const char* why) noexcept override {
        ++failures;
        failure = why;
    }
    void reset_done() noexcept override { ++resets; }
    [[nodiscard]] int hand_over_kicks(std::uint16_t queue) noexcept override {
        handed_over.insert(queue);
        return kicks;
    }
    void take_back_kicks(std::uint16_t queue) noexcept override { handed_over.erase(queue); }
    [[nodiscard]] int share_notifications(std::uint16_t /*queue*/) noexcept override {
        return shared;
    }

    std::vector<int> notified = std::vector<int>(40);
    std::vector<bool> link;
    int resets = 0;
    int failures = 0;
    std::string failure;
    // Ways past the device.
    int kicks = -1;
    int shared = -1;
    std::set<std::uint16_t> handed_over;
};

/// A device with the driver's side of its queues: receive, transmit, and so on.
class NetFixture : public testing::Test {
  protected:
    static constexpr std::uint16_t kRing = 256;

    void make(unsigned pairs = 1, std::uint64_t offloads = 0,
              const virtio::net::NetConfig& config = {},
              virtio::net::VhostCalls& calls = virtio::net::vhost_calls()) {
        auto backend = std::make_unique<FakeBackend>(pairs, offloads);
        backend_ = backend.get();
        device_.emplace(config, std::move(backend), loop_, log_, calls);
        device_->attach(host_);
        for (const virtio::QueueLimits& limits : device_->queues()) {
            rings_.emplace_back(memory_, limits);
        }
    }
    void activate(std::uint64_t features, std::uint16_t ring_size = kRing) {
        drivers_.clear();
        for (std::size_t i = 0; i < rings_.size(); ++i) {
            drivers_.emplace_back(memory_, ring_size, 0x1000 + 0xa000 * i);
            ASSERT_TRUE(rings_[i].start(drivers_[i].setup()));
        }
        ASSERT_TRUE(device_->activate({.features = features, .queues = rings_}));
        for (std::size_t i = 0; i < rings_.size(); ++i) {
            device_->queue_notified(static_cast<std::uint16_t>(i));
        }
        settle();
    }
    void TearDown() override {
        if (device_) {
            reset();
        }
    }
    void reset() {
        const int before = host_.resets;
        device_->reset();
        io::test::serve_until(loop_, [&] { return host_.resets > before; });
    }
    /// Serves until there is nothing more to do.
    void settle() {
        for (int quiet = 0; quiet < 4; ++quiet) {
            if (loop_.run_ready() != 0) {
                quiet = 0;
            }
        }
    }
    /// Offers one element with its own descriptor, and shows it.
    void offer(std::size_t queue, std::uint16_t head, std::uint64_t address, std::uint32_t size,
               bool device_writes) {
        drivers_[queue].describe(
            head, {address, size,
                   static_cast<std::uint16_t>(device_writes ? virtio::kDescriptorWrite : 0), 0});
        drivers_[queue].make_available(head);
    }
    void kick(std::size_t queue) {
        device_->queue_notified(static_cast<std::uint16_t>(queue));
        settle();
    }
    void write(std::uint64_t address, const std::string& bytes) {
        if (bytes.empty()) {
            return;
        }
        ASSERT_TRUE(memory_.write(Gpa(address), std::as_bytes(std::span(bytes))));
    }
    [[nodiscard]] std::string read(std::uint64_t address, std::size_t size) const {
        std::string bytes(size, '?');
        EXPECT_TRUE(memory_.read(Gpa(address), std::as_writable_bytes(std::span(bytes))));
        return bytes;
    }
    [[nodiscard]] std::vector<virtio::UsedElement> used(std::size_t queue) {
        std::vector<virtio::UsedElement> elements;
        while (const auto element = drivers_[queue].take_used()) {
            elements.push_back(*element);
        }
        return elements;
    }
    [[nodiscard]] const FramePair& network(std::size_t pair = 0) const {
        return backend_->networks[pair];
    }

    io::Log log_{2, io::LogLevel::Off};
    GuestMemory memory_{two_blocks()};
    io::EventLoop loop_{{.entries = 32, .name = "test"}};
    FakeNetHost host_;
    FakeBackend* backend_ = nullptr;
    std::vector<virtio::SplitQueue> rings_;
    std::optional<virtio::net::NetDevice> device_;
    std::vector<VirtioDriver> drivers_;
};

/// `size` bytes that differ from place to place.
inline std::string pattern(std::size_t size, unsigned seed = 1) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<char>('!' + (i * 7 + seed * 13 + i / 251) % 90);
    }
    return bytes;
}

/// An empty Header, as the double for a tap gives it and the driver sends it.
inline std::string no_offloads() {
    return std::string(sizeof(virtio::net::Header), '\0');
}
/// What the driver sees in front of a frame.
inline std::string header_of(std::uint16_t buffers) {
    std::string bytes(sizeof(virtio::net::Header), '\0');
    bytes[10] = static_cast<char>(buffers);
    return bytes;
}

}  // namespace cxlvm::test
