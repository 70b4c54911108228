// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "devices/virtio/common_config.hpp"
#include "tests/devices/virtio/fake_device.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {
namespace {

using test::read_status;
using test::read_value;
using test::write_status;
using test::write_value;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kOffered =
    test::FakeVirtioDevice::kFeatures | kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx;
constexpr std::uint8_t kAcknowledge = 1;
constexpr std::uint8_t kDriver = 2;
constexpr std::uint8_t kDriverOk = 4;
constexpr std::uint8_t kFeaturesOk = 8;
constexpr std::uint8_t kNeedsReset = 0x40;
constexpr std::uint8_t kFailed = 0x80;

std::uint8_t width_of(Common field) {
    const auto offset = static_cast<std::uint32_t>(field);
    return std::ranges::find(kCommonTable, offset, &RegisterSpec::offset)->width;
}

class TransportTest : public testing::Test {
  protected:
    std::uint32_t get(Common field) {
        const auto value =
            read_value(transport_, static_cast<std::uint64_t>(field), width_of(field));
        EXPECT_TRUE(value.has_value());
        return static_cast<std::uint32_t>(value.value_or(0));
    }
    void set(Common field, std::uint32_t value) {
        EXPECT_EQ(
            write_value(transport_, static_cast<std::uint64_t>(field), width_of(field), value),
            IoStatus::Ok);
    }
    std::uint32_t status() { return get(Common::DeviceStatus); }
    void set_status(std::uint8_t value) { set(Common::DeviceStatus, value); }

    void accept(std::uint64_t features) {
        for (std::uint32_t window = 0; window < 2; ++window) {
            set(Common::DriverFeatureSelect, window);
            set(Common::DriverFeature, static_cast<std::uint32_t>(features >> (32 * window)));
        }
    }
    /// Everything up to FEATURES_OK.
    void negotiate(std::uint64_t features = kFeatureVersion1) {
        set_status(kAcknowledge);
        set_status(kAcknowledge | kDriver);
        accept(features);
        set_status(kAcknowledge | kDriver | kFeaturesOk);
    }
    void set_up_queue(std::uint16_t queue, std::uint64_t base = 0x1000) {
        const QueueSetup setup = test::VirtioDriver(memory_, 8, base).setup();
        set(Common::QueueSelect, queue);
        set(Common::QueueSize, setup.size);
        set(Common::QueueDescLow, static_cast<std::uint32_t>(setup.descriptors.value()));
        set(Common::QueueDescHigh, static_cast<std::uint32_t>(setup.descriptors.value() >> 32U));
        set(Common::QueueDriverLow, static_cast<std::uint32_t>(setup.driver.value()));
        set(Common::QueueDeviceLow, static_cast<std::uint32_t>(setup.device.value()));
        set(Common::QueueEnable, 1);
    }
    /// A driver that uses the queues 0 and 2.
    void bring_up(std::uint64_t features = kFeatureVersion1) {
        negotiate(features);
        set_up_queue(0);
        set_up_queue(2, 0x1'1000);
        set_status(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
        ASSERT_EQ(status(), kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
        (void)device_.take_notified();
    }
    IoStatus kick(std::uint16_t queue) {
        return write_value(transport_, kNotifyBase + 4ULL * queue, 2, queue);
    }

    GuestMemory memory_{test::two_blocks()};
    io::Log log_{2, io::LogLevel::Off};
    test::FakeVirtioDevice device_;
    test::FakeTransportInterrupts interrupts_;
    Transport transport_{device_, memory_, interrupts_, log_};
};

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

TEST_F(TransportTest, InterruptsGoOutByTheVectorOfTheirQueue) {
    bring_up();
    set(Common::QueueSelect, 2);
    set(Common::QueueMsixVector, 3);
    device_.host().notify_queue(2);
    device_.host().notify_queue(0);  // has none
    EXPECT_THAT(interrupts_.take_raised(), ElementsAre(3));
    EXPECT_EQ(read_value(transport_, kIsrBase, 1), 0U);
    EXPECT_THAT(interrupts_.take_levels(), IsEmpty());
}

TEST_F(TransportTest, RefusesVectorsThatThereAreNot) {
    for (const std::uint32_t vector : {4U, 0xfffeU, 0xffffU}) {
        set(Common::ConfigMsixVector, 3);
        set(Common::ConfigMsixVector, vector);
        EXPECT_EQ(get(Common::ConfigMsixVector), kNoVector);
        set(Common::QueueMsixVector, vector);
        EXPECT_EQ(get(Common::QueueMsixVector), kNoVector);
    }
}

TEST_F(TransportTest, WithoutMsixTheInterruptStatusHoldsTheLineUntilItIsRead) {
    interrupts_.msix = false;
    device_.host().notify_queue(0);
    EXPECT_THAT(interrupts_.take_levels(), IsEmpty()) << "before DRIVER_OK";
    bring_up();
    device_.host().notify_queue(0);
    device_.host().notify_queue(2);
    EXPECT_THAT(interrupts_.take_levels(), ElementsAre(true));
    EXPECT_EQ(read_value(transport_, kIsrBase, 1), 1U);
    EXPECT_THAT(interrupts_.take_levels(), ElementsAre(false));
    EXPECT_EQ(read_value(transport_, kIsrBase, 1), 0U);
    device_.host().fail("for its reasons");
    EXPECT_EQ(read_value(transport_, kIsrBase, 1), 2U);
    device_.host().notify_queue(0);
    (void)interrupts_.take_levels();
    set_status(0);
    EXPECT_THAT(interrupts_.take_levels(), ElementsAre(false)) << "a reset lets go of the line";
    EXPECT_THAT(interrupts_.take_raised(), IsEmpty());
}

TEST_F(TransportTest, AFailureIsAConfigurationChangeOnceTheDriverIsReady) {
    bring_up();
    set(Common::ConfigMsixVector, 1);
    const std::uint32_t generation = get(Common::ConfigGeneration);
    device_.host().fail("for its reasons");
    device_.host().fail("for others");
    EXPECT_NE(status() & kNeedsReset, 0U);
    EXPECT_THAT(interrupts_.take_raised(), ElementsAre(1));
    EXPECT_EQ(get(Common::ConfigGeneration), generation);
    set_status(0);
    EXPECT_EQ(status(), 0U);
}

TEST_F(TransportTest, ConfigurationIsReadInAlignedPiecesOfUpTo32Bits) {
    EXPECT_EQ(read_value(transport_, kDeviceConfigBase, 4), 0x4433'2211U);
    EXPECT_EQ(read_value(transport_, kDeviceConfigBase + 2, 2), 0x4433U);
    EXPECT_EQ(read_value(transport_, kDeviceConfigBase + 3, 1), 0x44U);
    EXPECT_EQ(read_status(transport_, kDeviceConfigBase, 8), IoStatus::BadSize);
    EXPECT_EQ(read_status(transport_, kDeviceConfigBase + 1, 2), IoStatus::BadAlign);
    EXPECT_EQ(read_status(transport_, kDeviceConfigBase + 9, 1), IoStatus::Ok);
    EXPECT_EQ(read_status(transport_, kDeviceConfigBase + 8, 4), IoStatus::Unmapped);
    EXPECT_EQ(read_status(transport_, kDeviceConfigBase + 10, 1), IoStatus::Unmapped);
    EXPECT_EQ(write_status(transport_, kDeviceConfigBase + 8, 4), IoStatus::Unmapped);
}

TEST_F(TransportTest, TheGenerationChangesWhenSomethingReadHasChanged) {
    const auto read = [&] { return read_value(transport_, kDeviceConfigBase, 1); };
    const auto update = [&](unsigned value) {
        const std::array data = {static_cast<std::byte>(value)};
        device_.host().update_config(0, data);
    };
    const std::uint32_t before = get(Common::ConfigGeneration);
    (void)read();
    update(0x11);
    EXPECT_EQ(get(Common::ConfigGeneration), before) << "nothing differs";
    for (unsigned value = 0x12; value < 0x12 + 256; ++value) {
        update(value % 256);
    }
    EXPECT_NE(get(Common::ConfigGeneration), before);
    const std::uint32_t between = get(Common::ConfigGeneration);
    (void)read();
    EXPECT_EQ(get(Common::ConfigGeneration), between);
    update(0x80);
    EXPECT_EQ(read(), 0x80U);
    EXPECT_NE(get(Common::ConfigGeneration), between);
}

TEST_F(TransportTest, AnnouncesChangesOfTheConfigurationOnceTheDriverIsReady) {
    const std::array data = {std::byte{1}, std::byte{2}};
    set(Common::ConfigMsixVector, 2);
    device_.host().update_config(8, data);
    EXPECT_THAT(interrupts_.take_raised(), IsEmpty());
    bring_up();
    device_.host().update_config(8, data);
    EXPECT_THAT(interrupts_.take_raised(), IsEmpty()) << "nothing differs";
    device_.host().update_config(6, data);
    EXPECT_THAT(interrupts_.take_raised(), ElementsAre(2));
    EXPECT_EQ(read_value(transport_, kIsrBase, 1), 2U);
}

TEST_F(TransportTest, StoresWhatTheDeviceLetsTheDriverWrite) {
    EXPECT_EQ(write_value(transport_, kDeviceConfigBase + 4, 2, 0xabcd), IoStatus::Ok);
    EXPECT_EQ(write_value(transport_, kDeviceConfigBase, 2, 0xabcd), IoStatus::Ok);
    EXPECT_EQ(read_value(transport_, kDeviceConfigBase + 4, 2), 0xabcdU);
    EXPECT_EQ(read_value(transport_, kDeviceConfigBase, 2), 0x2211U);
}

TEST_F(TransportTest, AllocatesNothingAfterConstruction) {
    const std::array data = {std::byte{1}};
    const test::AllocationCounter counter;
    std::array<std::byte, 1> status = {std::byte{kFeaturesOk}};
    std::array<std::byte, 4> version = {std::byte{1}};
    (void)transport_.write(8, version);
    (void)transport_.write(12, version);
    (void)transport_.write(20, status);
    status[0] = std::byte{kDriverOk};
    (void)transport_.write(20, status);
    device_.host().update_config(0, data);
    device_.host().notify_queue(0);
    (void)transport_.read(kIsrBase, status);
    status[0] = {};
    (void)transport_.write(20, status);
    EXPECT_EQ(counter.count(), 0U);
    EXPECT_EQ(device_.resets, 1U);
}

}  // namespace
}  // namespace cxlvm::virtio
