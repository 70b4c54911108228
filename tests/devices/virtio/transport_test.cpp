// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/devices/virtio/transport_fixture.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::virtio {
namespace {

using test::read_status;
using test::read_value;
using test::write_status;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kOffered =
    test::FakeVirtioDevice::kFeatures | kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx;

TEST_F(TransportTest, RegistersHaveTheirResetValuesAndWritableBits) {
    test::FakeVirtioDevice device;
    test::FakeTransportInterrupts interrupts(0xffff);
    Transport transport(device, memory_, interrupts, log_);
    std::vector<RegisterSpec> table;
    for (RegisterSpec spec : kCommonTable) {
        switch (static_cast<Common>(spec.offset)) {
            case Common::DeviceStatus:
            case Common::QueueEnable:
                continue;  // other tests
            case Common::DeviceFeature:
                spec.reset = kOffered & 0xffff'ffffU;
                break;
            case Common::NumQueues:
                spec.reset = 3;
                break;
            case Common::QueueSize:
                spec.reset = 8;
                break;
            default:
                break;
        }
        table.push_back(spec);
    }
    test::RegisterProbe(transport, [&] {
        ASSERT_EQ(test::write8(transport, 20, 0), IoStatus::Ok);
    }).sweep(table);
}

TEST_F(TransportTest, FieldsTakeTheirOwnWidthAlone) {
    for (std::uint64_t offset = 0; offset < kCommonSize + 8; ++offset) {
        for (const std::size_t size : {1U, 2U, 3U, 4U, 8U}) {
            const bool fits = std::ranges::any_of(kCommonTable, [&](const RegisterSpec& spec) {
                return spec.offset == offset && spec.width == size;
            });
            EXPECT_EQ(read_status(transport_, offset, size) == IoStatus::Ok, fits) << offset;
            EXPECT_EQ(write_status(transport_, offset, size) == IoStatus::Ok, fits) << offset;
        }
    }
    EXPECT_EQ(read_status(transport_, 32, 8), IoStatus::BadSize);
    EXPECT_EQ(read_status(transport_, 33, 4), IoStatus::BadAlign);
    EXPECT_EQ(read_status(transport_, kCommonSize, 4), IoStatus::Unmapped);
    EXPECT_EQ(read_status(transport_, kIsrBase, 4), IoStatus::BadSize);
    EXPECT_EQ(read_status(transport_, kIsrBase + 1, 1), IoStatus::Unmapped);
    EXPECT_EQ(write_status(transport_, kIsrBase, 1), IoStatus::Ok);
}

TEST_F(TransportTest, ShowsItsFeaturesThroughWindowsOf32Bits) {
    const auto window = [&](std::uint32_t select) {
        set(Common::DeviceFeatureSelect, select);
        return get(Common::DeviceFeature);
    };
    EXPECT_EQ(window(0), kOffered & 0xffff'ffffU);
    EXPECT_EQ(window(1), kOffered >> 32U);
    EXPECT_EQ(window(2), 0U);
    EXPECT_EQ(window(0xffff'ffff), 0U);
    EXPECT_EQ(kOffered & (kFeatureRingPacked | kFeatureRingReset), 0U);
}

TEST_F(TransportTest, RefusesFeaturesThatDoNotGoTogether) {
    const auto accepted = [&](std::uint64_t features) {
        set_status(0);
        negotiate(features);
        return (status() & kFeaturesOk) != 0;
    };
    EXPECT_TRUE(accepted(kFeatureVersion1));
    EXPECT_TRUE(accepted(kOffered));
    EXPECT_FALSE(accepted(0)) << "without VERSION_1";
    EXPECT_FALSE(accepted(kOffered | kFeatureRingPacked)) << "not offered";
    EXPECT_FALSE(accepted(kOffered | feature(63))) << "not offered";
    EXPECT_FALSE(accepted(kFeatureVersion1 | feature(5))) << "the device objects";
}

TEST_F(TransportTest, RefusesFeaturesBeyond64Bits) {
    set(Common::DriverFeatureSelect, 3);
    set(Common::DriverFeature, 1);
    negotiate();
    EXPECT_EQ(status(), kAcknowledge | kDriver);
    set(Common::DriverFeatureSelect, 3);
    set(Common::DriverFeature, 0);
    set_status(kFeaturesOk);
    EXPECT_EQ(status(), kAcknowledge | kDriver | kFeaturesOk);
}

TEST_F(TransportTest, FeaturesAreSettledOnceFeaturesOkIsSet) {
    bring_up(kFeatureVersion1 | kFeatureEventIdx);
    accept(0);
    set(Common::DriverFeatureSelect, 1);
    EXPECT_EQ(get(Common::DriverFeature), 1U);
    ASSERT_TRUE(device_.active.has_value());
    EXPECT_EQ(device_.active->features, kFeatureVersion1 | kFeatureEventIdx);
}

TEST_F(TransportTest, StatusBitsStayUntilAReset) {
    set_status(kAcknowledge | kDriver);
    set_status(kDriver | 0x30);
    EXPECT_EQ(status(), kAcknowledge | kDriver) << "reserved bits are not stored";
    set_status(kNeedsReset);
    EXPECT_EQ(status(), kAcknowledge | kDriver) << "that one is the device's";
    set_status(kFailed);
    EXPECT_EQ(status(), kAcknowledge | kDriver | kFailed);
    set_status(0);
    EXPECT_EQ(status(), 0U);
}

TEST_F(TransportTest, RefusesDriverOkBeforeFeaturesOkAndAfterAFailure) {
    set_status(kAcknowledge | kDriver | kDriverOk);
    EXPECT_EQ(status(), kAcknowledge | kDriver);
    negotiate();
    set_status(kFailed);
    set_status(kDriverOk);
    EXPECT_EQ(status() & kDriverOk, 0U);
    EXPECT_EQ(device_.activations, 0U);
}

TEST_F(TransportTest, DriverOkActivatesTheDeviceOnceWithTheQueuesThatAreEnabled) {
    bring_up();
    set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    EXPECT_EQ(device_.activations, 1U);
    ASSERT_EQ(device_.active->queues.size(), 3U);
    EXPECT_TRUE(device_.active->queues[0].running());
    EXPECT_FALSE(device_.active->queues[1].running());
    EXPECT_TRUE(device_.active->queues[2].running());
}

TEST_F(TransportTest, ADeviceThatCannotStartNeedsAReset) {
    device_.can_work = false;
    negotiate();
    set_status(kDriverOk);
    EXPECT_NE(status() & kNeedsReset, 0U);
    set_status(0);
    EXPECT_EQ(device_.resets, 1U);
    EXPECT_EQ(status(), 0U);
}

TEST_F(TransportTest, QueuesThatDoNotExistHaveNoSizeAndKeepNothing) {
    for (const std::uint32_t queue : {3U, 0xffffU}) {
        set(Common::QueueSelect, queue);
        for (const Common field : {Common::QueueSize, Common::QueueEnable, Common::QueueDescLow,
                                   Common::QueueDeviceHigh, Common::QueueNotifyOff}) {
            set(field, 1);
            EXPECT_EQ(get(field), 0U);
        }
        set(Common::QueueMsixVector, 1);
        EXPECT_EQ(get(Common::QueueMsixVector), kNoVector);
    }
    set(Common::QueueSelect, 1);
    EXPECT_EQ(get(Common::QueueSize), 16U);
    EXPECT_EQ(get(Common::QueueNotifyOff), 1U);
}

TEST_F(TransportTest, AQueueWhoseAreasAreNotRamIsNotEnabledAndTheDeviceNeedsAReset) {
    negotiate();
    set_up_queue(0, test::kHoleBase - 0x5000);
    EXPECT_EQ(get(Common::QueueEnable), 0U);
    EXPECT_EQ(status(), kAcknowledge | kDriver | kFeaturesOk | kNeedsReset);
    set_status(kDriverOk);
    EXPECT_EQ(device_.activations, 0U);
    EXPECT_THAT(interrupts_.take_raised(), IsEmpty()) << "no notification before DRIVER_OK";
    set_status(0);
    bring_up();
}

TEST_F(TransportTest, FieldsOfAQueueHoldStillOnceItIsEnabledOrTheDeviceRuns) {
    bring_up();
    for (const std::uint32_t queue : {0U, 1U}) {
        set(Common::QueueSelect, queue);
        const std::uint32_t size = get(Common::QueueSize);
        const std::uint32_t low = get(Common::QueueDescLow);
        const std::uint32_t enable = get(Common::QueueEnable);
        EXPECT_EQ(enable, queue == 0 ? 1U : 0U);
        set(Common::QueueSize, 4);
        set(Common::QueueDescLow, 0x3000);
        set(Common::QueueEnable, 1 - enable);
        EXPECT_EQ(get(Common::QueueSize), size);
        EXPECT_EQ(get(Common::QueueDescLow), low);
        EXPECT_EQ(get(Common::QueueEnable), enable);
        set(Common::QueueMsixVector, 2);
        EXPECT_EQ(get(Common::QueueMsixVector), 2U) << "but for the vector";
    }
}

TEST_F(TransportTest, AResetTakesAsLongAsTheDeviceNeeds) {
    device_.resets_at_once = false;
    bring_up();
    set(Common::ConfigMsixVector, 1);
    set_status(0);
    EXPECT_EQ(device_.resets, 1U);
    EXPECT_NE(status(), 0U);
    EXPECT_TRUE(transport_.resetting());
    set_status(0);
    set_status(kAcknowledge);
    set(Common::QueueSelect, 1);
    EXPECT_NE(get(Common::QueueSelect), 1U) << "writes are without effect";
    EXPECT_EQ(kick(0), IoStatus::Ok);
    device_.host().notify_queue(0);
    device_.host().fail("late");
    EXPECT_THAT(device_.take_notified(), IsEmpty());
    EXPECT_THAT(interrupts_.take_raised(), IsEmpty());
    EXPECT_EQ(device_.resets, 1U);
    EXPECT_TRUE(device_.active->queues[0].running()) << "requests in flight end in it";

    device_.host().reset_done();
    EXPECT_EQ(status(), 0U);
    EXPECT_FALSE(transport_.resetting());
    EXPECT_FALSE(device_.active->queues[0].running());
    EXPECT_EQ(get(Common::ConfigMsixVector), kNoVector);
    set(Common::QueueSelect, 0);
    EXPECT_EQ(get(Common::QueueEnable), 0U);
    EXPECT_EQ(get(Common::QueueDescLow), 0U);
    bring_up();
    EXPECT_EQ(device_.activations, 2U);
}

TEST_F(TransportTest, AResetBeforeDriverOkIsImmediateAndNotTheDevicesBusiness) {
    negotiate();
    transport_.reset();
    EXPECT_EQ(status(), 0U);
    EXPECT_EQ(device_.resets, 0U);
}

TEST_F(TransportTest, AResetThatComesWhileTheDeviceIsActivatedIsCarriedOutAfterwards) {
    device_.during_activate = [&] {
        set_status(0);
        EXPECT_EQ(device_.resets, 0U);
        EXPECT_NE(status(), 0U);
        set_status(kAcknowledge);
    };
    negotiate();
    set_up_queue(0);
    set_status(kDriverOk);
    EXPECT_EQ(device_.resets, 1U);
    EXPECT_EQ(status(), 0U);
    EXPECT_THAT(device_.take_notified(), IsEmpty());
}

TEST_F(TransportTest, PassesNotificationsOfEnabledQueuesOnWhileTheDeviceRuns) {
    negotiate();
    set_up_queue(0);
    EXPECT_EQ(kick(0), IoStatus::Ok);
    EXPECT_THAT(device_.take_notified(), IsEmpty()) << "before DRIVER_OK";
    bring_up();
    EXPECT_EQ(kick(0), IoStatus::Ok);
    EXPECT_EQ(kick(1), IoStatus::Ok);
    transport_.notify(2);
    transport_.notify(3);
    EXPECT_THAT(device_.take_notified(), ElementsAre(0, 2));
    set_status(0);
    EXPECT_EQ(kick(0), IoStatus::Ok);
    EXPECT_THAT(device_.take_notified(), IsEmpty());
}

TEST_F(TransportTest, NoNotificationIsLostWhileTheDeviceIsActivated) {
    device_.during_activate = [&] { EXPECT_EQ(kick(2), IoStatus::Ok); };
    negotiate();
    set_up_queue(0);
    set_up_queue(2, 0x1'1000);
    set_status(kDriverOk);
    EXPECT_THAT(device_.take_notified(), ElementsAre(0, 2));
}

TEST_F(TransportTest, NotificationsAre16BitsWideEachQueueAtItsOwnPlace) {
    bring_up();
    const std::uint64_t last = kNotifyBase + 8;
    EXPECT_EQ(write_status(transport_, last, 1), IoStatus::BadSize);
    EXPECT_EQ(write_status(transport_, last, 4), IoStatus::BadSize);
    EXPECT_EQ(write_status(transport_, last + 2, 2), IoStatus::BadAlign);
    EXPECT_EQ(write_status(transport_, last + 4, 2), IoStatus::Unmapped);
    EXPECT_EQ(write_status(transport_, kTransportSize - 2, 2), IoStatus::Unmapped);
    EXPECT_EQ(read_value(transport_, last, 2), 0U);
    EXPECT_THAT(device_.take_notified(), IsEmpty());
}

}  // namespace
}  // namespace cxlvm::virtio
