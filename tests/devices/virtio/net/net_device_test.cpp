// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/net_device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/devices/virtio/net/net_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::header_of;
using test::no_offloads;
using test::pattern;

constexpr std::size_t kRx = 0;
constexpr std::size_t kTx = 1;
constexpr std::uint64_t kBuffers = 0x20'0000;

class NetDeviceTest : public test::NetFixture {
  protected:
    template <typename T>
    [[nodiscard]] T config(Config field) const {
        T value;
        std::memcpy(&value, device_->initial_config().data() + static_cast<std::size_t>(field),
                    sizeof(T));
        return value;
    }
    void send(std::uint16_t head, const std::string& bytes, std::size_t queue = kTx) {
        const std::uint64_t address = kBuffers + 0x800ULL * head;
        write(address, bytes);
        offer(queue, head, address, static_cast<std::uint32_t>(bytes.size()), false);
    }
};

TEST_F(NetDeviceTest, SaysWhatItIs) {
    make(1, 0, {.mac = MacAddress{{2, 3, 4, 5, 6, 7}}, .mtu = 9000});
    EXPECT_EQ(device_->id(), DeviceId::Network);
    EXPECT_EQ(device_->queues().size(), 2U);
    EXPECT_EQ(device_->features(), kFeatureMac | kFeatureStatus | kFeatureMergeable | kFeatureMtu);
    EXPECT_EQ(config<MacAddress>(Config::Mac), (MacAddress{{2, 3, 4, 5, 6, 7}}));
    EXPECT_EQ(config<std::uint16_t>(Config::Status), kStatusLinkUp);
    EXPECT_EQ(config<std::uint16_t>(Config::Mtu), 9000);
}

TEST_F(NetDeviceTest, OffersWhatItsBackendCanDo) {
    make(3, kFeatureCsum | kFeatureGuestCsum);
    EXPECT_EQ(device_->queues().size(), 7U);
    EXPECT_EQ(config<std::uint16_t>(Config::MaxQueuePairs), 3);
    EXPECT_EQ(device_->features(), kFeatureMac | kFeatureStatus | kFeatureMergeable | kFeatureCsum |
                                       kFeatureGuestCsum | kFeatureCtrlGuestOffloads |
                                       kFeatureCtrlQueue | kFeatureMultiQueue);
    EXPECT_TRUE(config<MacAddress>(Config::Mac).usable());
    EXPECT_NE(config<std::uint8_t>(Config::Mac) & 0x02U, 0U) << "locally administered";
}

TEST_F(NetDeviceTest, AcceptsFeaturesThatGoTogether) {
    make();
    const std::uint64_t alone[] = {
        0, kFeatureCsum, kFeatureGuestCsum, kFeatureMergeable, kFeatureCtrlQueue, kFeatureMtu};
    for (const std::uint64_t features : alone) {
        EXPECT_TRUE(device_->accepts(features)) << std::hex << features;
    }
    const std::pair<std::uint64_t, std::uint64_t> dependent[] = {
        {kFeatureHostTso4, kFeatureCsum},
        {kFeatureHostTso6, kFeatureCsum},
        {kFeatureHostUfo, kFeatureCsum},
        {kFeatureHostUso, kFeatureCsum},
        {kFeatureGuestTso4, kFeatureGuestCsum},
        {kFeatureGuestTso6, kFeatureGuestCsum},
        {kFeatureGuestUfo, kFeatureGuestCsum},
        {kFeatureGuestUso4, kFeatureGuestCsum},
        {kFeatureGuestUso6, kFeatureGuestCsum},
        {kFeatureHostEcn | kFeatureCsum, kFeatureHostTso6},
        {kFeatureGuestEcn | kFeatureGuestCsum, kFeatureGuestTso4},
        {kFeatureMultiQueue, kFeatureCtrlQueue},
        {kFeatureCtrlGuestOffloads, kFeatureCtrlQueue},
    };
    for (const auto& [features, need] : dependent) {
        EXPECT_FALSE(device_->accepts(features)) << std::hex << features;
        EXPECT_TRUE(device_->accepts(features | need)) << std::hex << features;
    }
}

TEST_F(NetDeviceTest, SendsFramesFromWhereTheyLie) {
    make();
    activate(kFeatureMergeable);
    const std::string header = "\1\1" + pattern(10);
    send(0, header + pattern(60));
    // One of three elements.
    write(kBuffers + 0x8000, header + pattern(2000, 2));
    drivers_[kTx].describe(10, {kBuffers + 0x8000, 5, kDescriptorNext, 11});
    drivers_[kTx].describe(11, {kBuffers + 0x8005, 100, kDescriptorNext, 12});
    drivers_[kTx].describe(12, {kBuffers + 0x8069, 1907, 0, 0});
    drivers_[kTx].make_available(10);
    kick(kTx);
    EXPECT_EQ(network().get(), header + pattern(60));
    EXPECT_EQ(network().get(), header + pattern(2000, 2));
    const auto elements = used(kTx);
    ASSERT_EQ(elements.size(), 2U);
    EXPECT_EQ(elements[0].length, 0U);
    EXPECT_EQ(elements[1].id, 10U);
    EXPECT_EQ(host_.notified[kTx], 1) << "one notification for what came together";
}

TEST_F(NetDeviceTest, WhatIsNoFrameIsNotSent) {
    make();
    activate(kFeatureMergeable);
    send(0, "");
    send(1, no_offloads() + pattern(13));
    offer(kTx, 2, kBuffers, static_cast<std::uint32_t>(sizeof(Header) + kMaxFrame + 1), false);
    send(3, no_offloads() + pattern(14));
    kick(kTx);
    EXPECT_EQ(used(kTx).size(), 4U);
    EXPECT_EQ(network().get(), no_offloads() + pattern(14));
    EXPECT_EQ(network().get(), std::nullopt);
    EXPECT_EQ(host_.failures, 0);
}

TEST_F(NetDeviceTest, AFullNetworkMakesFramesWaitInOrder) {
    make();
    activate(kFeatureMergeable);
    constexpr std::uint16_t kFrames = 250;
    for (std::uint16_t n = 0; n < kFrames; ++n) {
        send(n, no_offloads() + pattern(1500, n));
    }
    kick(kTx);
    EXPECT_LT(used(kTx).size(), kFrames) << "a socket takes less than that";
    for (std::uint16_t n = 0; n < kFrames; ++n) {
        auto frame = network().get();
        if (!frame) {
            settle();
            frame = network().get();
        }
        ASSERT_EQ(frame, no_offloads() + pattern(1500, n));
    }
    settle();
    EXPECT_EQ(rings_[kTx].in_flight(), 0U);
}

TEST_F(NetDeviceTest, SendingNeedsNoAllocation) {
    make();
    activate(kFeatureMergeable);
    send(0, no_offloads() + pattern(100));
    kick(kTx);
    for (std::uint16_t n = 1; n < 20; ++n) {
        send(n, no_offloads() + pattern(100));
    }
    const test::AllocationCounter counter;
    device_->queue_notified(kTx);
    loop_.run_ready();
    loop_.run_ready();
    EXPECT_EQ(counter.count(), 0U);
    EXPECT_EQ(used(kTx).size(), 20U);
}

TEST_F(NetDeviceTest, WithTheCablePulledNothingComesOrGoes) {
    make();
    activate(kFeatureMergeable);
    offer(kRx, 0, kBuffers + 0x4'0000, 1536, true);
    kick(kRx);
    device_->set_link(false);
    settle();
    EXPECT_EQ(host_.link, std::vector<bool>({false}));
    network().put(no_offloads() + pattern(100));
    send(0, no_offloads() + pattern(60));
    kick(kTx);
    EXPECT_EQ(used(kTx).size(), 1U) << "lost, but given back";
    EXPECT_EQ(network().get(), std::nullopt);
    EXPECT_TRUE(used(kRx).empty());

    device_->set_link(true);
    settle();
    EXPECT_EQ(host_.link, std::vector<bool>({false, true}));
    EXPECT_EQ(used(kRx).size(), 1U);
    send(1, no_offloads() + pattern(61));
    kick(kTx);
    EXPECT_EQ(network().get(), no_offloads() + pattern(61));
}

TEST_F(NetDeviceTest, ALinkWhoseOtherEndHasGoneStaysDown) {
    make();
    activate(kFeatureMergeable);
    backend_->networks[0].network.reset();
    send(0, no_offloads() + pattern(60));
    send(1, no_offloads() + pattern(60));
    kick(kTx);
    EXPECT_EQ(used(kTx).size(), 2U);
    EXPECT_EQ(host_.link, std::vector<bool>({false}));
    device_->set_link(true);
    settle();
    EXPECT_EQ(host_.link, std::vector<bool>({false, false}));
}

TEST_F(NetDeviceTest, AResetComesAtAnyMomentAndANewRoundBegins) {
    make();
    for (int round = 0; round < 20; ++round) {
        activate(kFeatureMergeable);
        for (std::uint16_t n = 0; n < 100; ++n) {
            offer(kRx, n, kBuffers + 0x4'0000 + 0x200ULL * n, 512, true);
            send(n, no_offloads() + pattern(1500, n));
        }
        network().put(no_offloads() + pattern(100));
        device_->queue_notified(kRx);
        device_->queue_notified(kTx);
        for (int i = 0; i < round % 4; ++i) {
            loop_.run_ready();
        }
        reset();
        const std::uint16_t rx = drivers_[kRx].used_index();
        const std::uint16_t tx = drivers_[kTx].used_index();
        network().put(no_offloads() + pattern(100));
        kick(kRx);  // late
        kick(kTx);
        EXPECT_EQ(drivers_[kRx].used_index(), rx) << "nothing is touched after the reset";
        EXPECT_EQ(drivers_[kTx].used_index(), tx);
        while (network().get()) {
        }
        for (std::uint64_t address = 0x1000; address < 0x1'5000; address += 8) {
            drivers_[0].store(address, std::uint64_t{0});
        }
        for (SplitQueue& ring : rings_) {
            ring.stop();
        }
    }
    activate(kFeatureMergeable);
    EXPECT_EQ(host_.failures, 0);
    EXPECT_EQ(host_.resets, 20);
}

TEST_F(NetDeviceTest, ABackendThatCannotFailsTheDevice) {
    make();
    backend_->possible = false;
    activate(kFeatureMergeable);
    EXPECT_EQ(host_.failures, 1);
}

TEST_F(NetDeviceTest, ARingErrorOfTheTransmitQueueFailsTheDevice) {
    make();
    activate(kFeatureMergeable);
    drivers_[kTx].set_avail_index(1000);
    kick(kTx);
    EXPECT_EQ(host_.failure, describe(QueueError::AvailIndex));
}

}  // namespace
}  // namespace cxlvm::virtio::net
