// SPDX-License-Identifier: Apache-2.0
// vCPUs that bring a device up, notify it and reset it at any moment, while the device's thread
// completes requests and resets; meant for the thread sanitizer.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "devices/virtio/transport.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {
namespace {

using test::read_value;
using test::write_value;

constexpr unsigned kRounds = 300;

/// Does its work on a thread of its own, as a device on an event loop does.
class ThreadedDevice final : public VirtioDevice {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "threaded"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Entropy; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return 0; }
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return kQueues; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return kConfig;
    }
    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override {
        return post([&] { queue_ = activation.queues.data(); });
    }
    void queue_notified(std::uint16_t /*queue*/) noexcept override {
        (void)post([&] { notified_ = true; });
    }
    void reset() noexcept override {
        (void)post([&] { resetting_ = true; });
    }
    void stop() {
        (void)post([&] { stopped_ = true; });
    }

    void run() {
        std::unique_lock lock(mutex_);
        while (!stopped_) {
            condition_.wait(lock, [&] { return stopped_ || notified_ || resetting_; });
            SplitQueue* const queue = queue_;
            const bool resetting = std::exchange(resetting_, false);
            notified_ = false;
            if (resetting) {
                queue_ = nullptr;
            }
            lock.unlock();
            if (queue != nullptr) {
                serve(*queue);
            }
            if (resetting) {
                ++resets;
                host_->reset_done();
            }
            lock.lock();
        }
    }

    std::atomic<unsigned> resets{0};

  private:
    template <typename Change>
    bool post(Change&& change) {
        const std::lock_guard lock(mutex_);
        change();
        condition_.notify_one();
        return true;
    }

    void serve(SplitQueue& queue) {
        do {
            while (auto chain = queue.pop()) {
                queue.push(chain->head, 0);
            }
        } while (queue.enable_kicks());
        if (queue.should_notify()) {
            host_->notify_queue(0);
        }
        const std::array count = {static_cast<std::byte>(++served_)};
        host_->update_config(0, count);
    }

    static constexpr std::array<QueueLimits, 1> kQueues = {{{.max_size = 8}}};
    static constexpr std::array<std::byte, 4> kConfig = {};
    DeviceHost* host_ = nullptr;
    std::mutex mutex_;
    std::condition_variable condition_;
    SplitQueue* queue_ = nullptr;
    bool notified_ = false;
    bool resetting_ = false;
    bool stopped_ = false;
    unsigned served_ = 0;
};

/// INTx alone: checks what the transport promises of it.
class Line final : public TransportInterrupts {
  public:
    [[nodiscard]] std::uint16_t vectors() const noexcept override { return 0; }
    [[nodiscard]] bool msix_enabled() const noexcept override { return false; }
    void raise(std::uint16_t /*vector*/) noexcept override { ADD_FAILURE() << "a vector"; }
    void set_intx(bool level) noexcept override {
        EXPECT_FALSE(busy_.exchange(true)) << "told by two threads at once";
        EXPECT_NE(level_.exchange(level), level) << "told what it knows";
        busy_ = false;
    }
    [[nodiscard]] bool level() const { return level_; }

  private:
    std::atomic<bool> busy_{false};
    std::atomic<bool> level_{false};
};

TEST(TransportThreads, ResetsAtAnyMomentEndAndLeaveTheLineLow) {
    GuestMemory memory(test::two_blocks());
    io::Log log(2, io::LogLevel::Off);
    ThreadedDevice device;
    Line line;
    Transport transport(device, memory, line, log);
    std::thread loop([&] { device.run(); });
    std::atomic<bool> done{false};

    std::thread other([&] {  // a second vCPU, which knows no manners
        for (unsigned i = 0; !done; ++i) {
            transport.notify(0);
            (void)read_value(transport, kIsrBase, 1);
            (void)read_value(transport, kDeviceConfigBase, 4);
            if (i % 64 == 0) {
                (void)write_value(transport, 20, 1, 0);
            }
        }
    });

    test::VirtioDriver driver(memory, 8);
    const QueueSetup setup = driver.setup();
    driver.describe(0, {0x1'0000, 4, kDescriptorWrite, 0});
    for (unsigned round = 0; round < kRounds; ++round) {
        const auto write = [&](std::uint64_t offset, std::size_t size, std::uint64_t value) {
            EXPECT_EQ(write_value(transport, offset, size, value), IoStatus::Ok);
        };
        write(20, 1, 0x03);
        write(8, 4, 1);
        write(12, 4, 1);
        write(20, 1, 0x08);
        write(22, 2, 0);
        write(24, 2, setup.size);
        write(32, 4, setup.descriptors.value());
        write(40, 4, setup.driver.value());
        write(48, 4, setup.device.value());
        write(28, 2, 1);
        write(20, 1, 0x04);
        driver.set_avail_index(static_cast<std::uint16_t>(round % 3));
        write(kNotifyBase, 2, 0);
        write(20, 1, 0);
        while (read_value(transport, 20, 1) != 0U) {
            std::this_thread::yield();  // as drivers wait for it
        }
    }
    done = true;
    other.join();
    transport.reset();
    while (transport.resetting()) {
        std::this_thread::yield();
    }
    device.stop();
    loop.join();
    EXPECT_GT(device.resets, 0U);
    EXPECT_EQ(read_value(transport, 20, 1), 0U);
    EXPECT_FALSE(line.level());
}

}  // namespace
}  // namespace cxlvm::virtio
