// SPDX-License-Identifier: Apache-2.0

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/devices/virtio/transport_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::virtio {
namespace {

using test::read_status;
using test::read_value;
using test::write_status;
using test::write_value;
using testing::ElementsAre;
using testing::IsEmpty;

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
