// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "devices/virtio/device.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "tests/support/serve_until.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio::test {

class FakeDeviceHost final : public DeviceHost {
  public:
    void notify_queue(std::uint16_t queue) noexcept override { notified[queue] += 1; }
    void update_config(std::size_t offset, std::span<const std::byte> data) noexcept override {
        ++config_changes;
        ASSERT_LE(offset + data.size(), config.size());
        std::memcpy(config.data() + offset, data.data(), data.size());
    }
    void fail(const char* why) noexcept override { failure = why; }
    void reset_done() noexcept override { ++resets; }

    std::array<int, 8> notified{};
    int config_changes = 0;
    int resets = 0;
    const char* failure = nullptr;
    std::vector<std::byte> config;
};

/// A device on a loop, with the driver's side of its queues. Addresses from kBuffers on are the
/// test's own.
class DeviceTest : public testing::Test {
  protected:
    static constexpr std::uint16_t kRing = 64;
    static constexpr std::uint64_t kBuffers = 0x4'0000;

    void connect(VirtioDevice& device) {
        device_ = &device;
        const auto config = device.initial_config();
        host_.config.assign(config.begin(), config.end());
        device.attach(host_);
        for (const QueueLimits& limits : device.queues()) {
            rings_.emplace_back(memory_, limits);
        }
    }
    /// Begins a round with the queues that are named.
    void activate(std::uint64_t features, std::initializer_list<std::uint16_t> queues) {
        drivers_.clear();
        for (std::uint64_t address = 0x1000; address < kBuffers; address += 8) {
            ASSERT_TRUE(memory_.store(Gpa(address), std::uint64_t{0}));
        }
        for (std::size_t i = 0; i < rings_.size(); ++i) {
            rings_[i].stop();
            drivers_.emplace_back(memory_, kRing, 0x1000 + 0xa000 * i);
        }
        for (const std::uint16_t queue : queues) {
            ASSERT_TRUE(rings_[queue].start(drivers_[queue].setup()));
        }
        ASSERT_TRUE(device_->activate({.features = features, .queues = rings_}));
        for (const std::uint16_t queue : queues) {
            device_->queue_notified(queue);
        }
        loop_.run_ready();
    }
    void reset() {
        const int before = host_.resets;
        device_->reset();
        EXPECT_TRUE(serve_until([&] { return host_.resets > before; }));
        EXPECT_EQ(host_.resets, before + 1);
    }

    /// A chain of one element, which the device writes or reads.
    void offer(std::uint16_t queue, std::uint16_t head, std::uint64_t address, std::uint32_t size,
               bool device_writes) {
        drivers_[queue].describe(
            head, {address, size, device_writes ? kDescriptorWrite : std::uint16_t{0}, 0});
        drivers_[queue].make_available(head);
    }
    void put(std::uint64_t address, std::string_view text) {
        ASSERT_TRUE(memory_.write(Gpa(address), std::as_bytes(std::span(text))));
    }
    [[nodiscard]] std::string get(std::uint64_t address, std::size_t size) const {
        std::string text(size, '?');
        EXPECT_TRUE(memory_.read(Gpa(address), std::as_writable_bytes(std::span(text))));
        return text;
    }
    /// Notifies the device, if it is to be, and waits until `count` more chains are used.
    std::vector<UsedElement> serve(std::uint16_t queue, std::size_t count, bool kick = true) {
        if (kick) {
            device_->queue_notified(queue);
        }
        std::vector<UsedElement> used;
        EXPECT_TRUE(serve_until([&] {
            while (const auto element = drivers_[queue].take_used()) {
                used.push_back(*element);
            }
            return used.size() >= count;
        }));
        EXPECT_EQ(used.size(), count);
        return used;
    }
    /// Notifies the device, which has nothing to give back.
    void serve_none(std::uint16_t queue) {
        device_->queue_notified(queue);
        run_out();
        EXPECT_EQ(drivers_[queue].used_index(), drivers_[queue].last_used());
    }
    void run_out() {
        for (int i = 0; i < 20; ++i) {
            loop_.run_ready();
        }
    }
    template <typename Condition>
    [[nodiscard]] bool serve_until(Condition condition) {
        return cxlvm::test::serve_until(loop_, condition);
    }

    io::Log log_{2, io::LogLevel::Off};
    GuestMemory memory_{cxlvm::test::two_blocks()};
    io::EventLoop loop_{{.entries = 32, .name = "test"}};
    FakeDeviceHost host_;
    std::vector<SplitQueue> rings_;
    std::deque<cxlvm::test::VirtioDriver> drivers_;

  private:
    VirtioDevice* device_ = nullptr;
};

}  // namespace cxlvm::virtio::test
