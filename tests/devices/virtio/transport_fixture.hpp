// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "devices/virtio/common_config.hpp"
#include "devices/virtio/transport.hpp"
#include "tests/devices/virtio/fake_device.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {

inline constexpr std::uint8_t kAcknowledge = 1;
inline constexpr std::uint8_t kDriver = 2;
inline constexpr std::uint8_t kDriverOk = 4;
inline constexpr std::uint8_t kFeaturesOk = 8;
inline constexpr std::uint8_t kNeedsReset = 0x40;
inline constexpr std::uint8_t kFailed = 0x80;

inline std::uint8_t width_of(Common field) {
    const auto offset = static_cast<std::uint32_t>(field);
    return std::ranges::find(kCommonTable, offset, &RegisterSpec::offset)->width;
}

/// A transport with a fake device behind it, and a driver's hands.
class TransportTest : public testing::Test {
  protected:
    std::uint32_t get(Common field) {
        const auto value =
            test::read_value(transport_, static_cast<std::uint64_t>(field), width_of(field));
        EXPECT_TRUE(value.has_value());
        return static_cast<std::uint32_t>(value.value_or(0));
    }
    void set(Common field, std::uint32_t value) {
        EXPECT_EQ(test::write_value(transport_, static_cast<std::uint64_t>(field), width_of(field),
                                    value),
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
        return test::write_value(transport_, kNotifyBase + 4ULL * queue, 2, queue);
    }

    GuestMemory memory_{test::two_blocks()};
    io::Log log_{2, io::LogLevel::Off};
    test::FakeVirtioDevice device_;
    test::FakeTransportInterrupts interrupts_;
    Transport transport_{device_, memory_, interrupts_, log_};
};

}  // namespace cxlvm::virtio
