// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console/console_device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>

#include "tests/devices/virtio/device_fixture.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/fake_character_host.hpp"

namespace cxlvm::virtio::console {
namespace {

class ConsoleDeviceTest : public virtio::test::DeviceTest {
  protected:
    void SetUp() override { start({}); }
    void TearDown() override { reset(); }
    void start(std::optional<ConsoleSize> size) {
        rings_.clear();
        device_.emplace(end_, size, loop_);
        connect(*device_);
        activate(device_->features(), {kReceiveQueue, kTransmitQueue});
    }
    std::size_t receive(std::string_view text) {
        return device_->receive(std::as_bytes(std::span(text)));
    }
    void send(std::uint16_t head, std::string_view text) {
        const std::uint64_t address = kBuffers + 0x400ULL * head;
        put(address, text);
        offer(kTransmitQueue, head, address, static_cast<std::uint32_t>(text.size()), false);
    }
    [[nodiscard]] Config config() const {
        Config config;
        std::memcpy(&config, host_.config.data(), sizeof(config));
        return config;
    }

    cxlvm::test::FakeCharacterHost end_;
    std::optional<ConsoleDevice> device_;
};

TEST_F(ConsoleDeviceTest, SaysWhatItIs) {
    EXPECT_EQ(device_->id(), DeviceId::Console);
    EXPECT_EQ(device_->queues().size(), 2U);
    EXPECT_EQ(device_->features(), 0U);
    device_->set_size({80, 25});
    EXPECT_EQ(host_.config_changes, 0) << "it has no size";
}

TEST_F(ConsoleDeviceTest, TellsItsSizeAndWhenItChanges) {
    reset();
    start(ConsoleSize{.columns = 132, .rows = 43});
    EXPECT_EQ(device_->features(), kFeatureSize);
    EXPECT_EQ(config().columns, 132);
    EXPECT_EQ(config().rows, 43);
    device_->set_size({.columns = 80, .rows = 25});
    EXPECT_EQ(config().columns, 80);
    EXPECT_EQ(config().rows, 25);
    EXPECT_EQ(config().max_ports, 1U);
}

TEST_F(ConsoleDeviceTest, OutputReachesTheHostInOrder) {
    send(0, "one ");
    send(1, "two ");
    put(kBuffers + 0x5000, "thr");
    put(kBuffers + 0x6000, "ee");
    drivers_[kTransmitQueue].describe(2, {kBuffers + 0x5000, 3, kDescriptorNext, 3});
    drivers_[kTransmitQueue].describe(3, {kBuffers + 0x6000, 2, 0, 0});
    drivers_[kTransmitQueue].make_available(2);
    serve(kTransmitQueue, 3);
    EXPECT_EQ(end_.output(), "one two three");
    EXPECT_EQ(host_.notified[kTransmitQueue], 1);
}

TEST_F(ConsoleDeviceTest, OutputThatTheHostHasNoRoomForWaitsInTheDriversBuffers) {
    end_.set_room(6);
    send(0, "1234");
    send(1, "5678");
    send(2, "9");
    serve(kTransmitQueue, 1);
    EXPECT_EQ(end_.output(), "123456");
    serve_none(kTransmitQueue);  // a kick makes no room
    end_.set_room(1);
    device_->output_ready();
    run_out();
    EXPECT_EQ(end_.output(), "1234567");
    end_.set_room(100);
    device_->output_ready();
    const auto used = serve(kTransmitQueue, 2, false);
    EXPECT_EQ(used[0].id, 1U);
    EXPECT_EQ(used[1].id, 2U);
    EXPECT_EQ(end_.output(), "123456789");
}

TEST_F(ConsoleDeviceTest, InputFillsTheBuffersThatThereAre) {
    offer(kReceiveQueue, 0, kBuffers, 4, true);
    offer(kReceiveQueue, 1, kBuffers + 0x100, 4, true);
    serve_none(kReceiveQueue);
    EXPECT_EQ(receive("abcdefghij"), 8U);
    const auto used = serve(kReceiveQueue, 2, false);
    EXPECT_EQ(used[0].length, 4U);
    EXPECT_EQ(get(kBuffers, 4), "abcd");
    EXPECT_EQ(get(kBuffers + 0x100, 4), "efgh");
    EXPECT_EQ(end_.input_ready_calls(), 0U) << "there is no buffer yet";

    offer(kReceiveQueue, 2, kBuffers, 100, true);
    device_->queue_notified(kReceiveQueue);
    run_out();
    EXPECT_EQ(end_.input_ready_calls(), 1U);
    EXPECT_EQ(receive("ij"), 2U);
    EXPECT_EQ(serve(kReceiveQueue, 1, false)[0].length, 2U) << "no need to fill a buffer";
    EXPECT_EQ(get(kBuffers, 2), "ij");
    EXPECT_GE(host_.notified[kReceiveQueue], 2);
}

TEST_F(ConsoleDeviceTest, InputWaitsForADriver) {
    reset();
    EXPECT_EQ(receive("early"), 0U);
    run_out();
    EXPECT_EQ(end_.input_ready_calls(), 0U);
    activate(0, {kReceiveQueue, kTransmitQueue});
    offer(kReceiveQueue, 0, kBuffers, 64, true);
    device_->queue_notified(kReceiveQueue);
    run_out();
    EXPECT_EQ(end_.input_ready_calls(), 1U);
    EXPECT_EQ(receive("early"), 5U);
}

TEST_F(ConsoleDeviceTest, BuffersWithoutRoomAreGivenBackEmpty) {
    offer(kReceiveQueue, 0, kBuffers, 4, false);
    offer(kReceiveQueue, 1, kBuffers, 4, true);
    serve_none(kReceiveQueue);
    EXPECT_EQ(receive("abcd"), 4U);
    const auto used = serve(kReceiveQueue, 2, false);
    EXPECT_EQ(used[0].length, 0U);
    EXPECT_EQ(used[1].length, 4U);
}

TEST_F(ConsoleDeviceTest, AResetForgetsWhatWaits) {
    for (int round = 0; round < 10; ++round) {
        end_.set_room(0);
        send(0, "lost");
        offer(kReceiveQueue, 0, kBuffers + 0x8000, 16, true);
        serve_none(kTransmitQueue);
        serve_none(kReceiveQueue);
        reset();
        end_.set_room(100);
        device_->output_ready();
        device_->queue_notified(kTransmitQueue);
        EXPECT_EQ(receive("x"), 0U);
        run_out();
        EXPECT_EQ(drivers_[kTransmitQueue].used_index(), 0) << "nothing is touched";
        EXPECT_EQ(drivers_[kReceiveQueue].used_index(), 0);
        activate(0, {kReceiveQueue, kTransmitQueue});
    }
    EXPECT_EQ(end_.output(), "");
    send(0, "anew");
    serve(kTransmitQueue, 1);
    EXPECT_EQ(end_.output(), "anew");
}

TEST_F(ConsoleDeviceTest, AnErrorOfARingFailsTheDevice) {
    drivers_[kReceiveQueue].describe(0, {cxlvm::test::kHoleBase, 4, kDescriptorWrite, 0});
    drivers_[kReceiveQueue].make_available(0);
    device_->queue_notified(kReceiveQueue);
    ASSERT_TRUE(serve_until([&] { return host_.failure != nullptr; }));
    EXPECT_STREQ(host_.failure, describe(QueueError::Address));
    EXPECT_EQ(receive("x"), 0U);
}

TEST_F(ConsoleDeviceTest, NeitherDirectionNeedsAnAllocation) {
    end_.reserve(1000);
    send(0, "first");
    offer(kReceiveQueue, 0, kBuffers + 0x8000, 16, true);
    serve(kTransmitQueue, 1);
    const cxlvm::test::AllocationCounter counter;
    device_->queue_notified(kReceiveQueue);
    loop_.run_ready();
    send(1, "second");
    device_->queue_notified(kTransmitQueue);
    while (drivers_[kTransmitQueue].used_index() != 2) {
        loop_.run_ready();
    }
    const std::size_t taken = receive("in");
    const std::uint64_t count = counter.count();
    EXPECT_EQ(count, 0U);
    EXPECT_EQ(taken, 2U);
}

}  // namespace
}  // namespace cxlvm::virtio::console
