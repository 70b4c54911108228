// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/entropy/entropy_device.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>

#include "devices/virtio/entropy/entropy_source.hpp"
#include "io/error.hpp"
#include "tests/devices/virtio/device_fixture.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/pipe.hpp"
#include "tests/support/terminal.hpp"

namespace cxlvm::virtio::entropy {
namespace {

class EntropyDeviceTest : public virtio::test::DeviceTest {
  protected:
    void start(const std::string& source = {}) {
        device_.emplace(EntropyConfig{source}, loop_, log_);
        connect(*device_);
        activate(0, {kRequestQueue});
    }
    void TearDown() override { reset(); }

    std::optional<EntropyDevice> device_;
};

TEST_F(EntropyDeviceTest, SaysWhatItIs) {
    start();
    EXPECT_EQ(device_->id(), DeviceId::Entropy);
    EXPECT_EQ(device_->features(), 0U);
    EXPECT_EQ(device_->queues().size(), 1U);
    EXPECT_TRUE(device_->initial_config().empty());
}

TEST_F(EntropyDeviceTest, FillsBuffersWithBytesThatDiffer) {
    start();
    std::set<std::string> seen;
    for (std::uint16_t n = 0; n < 8; ++n) {
        put(kBuffers + 64ULL * n, std::string(64, '.'));
        offer(kRequestQueue, n, kBuffers + 64ULL * n, 60, true);
    }
    for (const UsedElement& used : serve(kRequestQueue, 8)) {
        EXPECT_EQ(used.length, 60U);
        const std::string bytes = get(kBuffers + 64ULL * used.id, 64);
        EXPECT_EQ(bytes.substr(60), "....") << "no byte past the end";
        seen.insert(bytes.substr(0, 60));
    }
    EXPECT_EQ(seen.size(), 8U);
    EXPECT_EQ(host_.notified[kRequestQueue], 1) << "once for all of them";
}

TEST_F(EntropyDeviceTest, ALongRequestIsFilledInPart) {
    start();
    constexpr std::uint32_t kSize = 0x8000;
    put(kBuffers, std::string(kSize, '.'));
    offer(kRequestQueue, 0, kBuffers, kSize, true);
    EXPECT_EQ(serve(kRequestQueue, 1)[0].length, EntropyDevice::kMaxBytes);
    EXPECT_EQ(get(kBuffers + EntropyDevice::kMaxBytes, kSize - EntropyDevice::kMaxBytes),
              std::string(kSize - EntropyDevice::kMaxBytes, '.'));
}

TEST_F(EntropyDeviceTest, ARequestWithNothingToFillComesBackEmpty) {
    start();
    offer(kRequestQueue, 0, kBuffers, 64, false);
    EXPECT_EQ(serve(kRequestQueue, 1)[0].length, 0U);
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(EntropyDeviceTest, AFloodGivesWayToTheLoop) {
    start();
    for (std::uint16_t n = 0; n < kRing; ++n) {
        offer(kRequestQueue, n, kBuffers, 4096, true);
    }
    device_->queue_notified(kRequestQueue);
    int others = 0;
    io::Task other{&others, [](void* count) noexcept { ++*static_cast<int*>(count); }};
    loop_.post(other);
    while (others == 0) {
        loop_.run_ready();
    }
    EXPECT_LE(drivers_[kRequestQueue].used_index(), 2 * EntropyDevice::kRound);
    EXPECT_EQ(serve(kRequestQueue, kRing, false).size(), kRing);
}

TEST_F(EntropyDeviceTest, BytesComeFromTheSourceThatIsNamed) {
    start("/dev/zero");
    put(kBuffers, std::string(128, '.'));
    drivers_[0].describe(0, {kBuffers, 10, kDescriptorWrite | kDescriptorNext, 1});
    drivers_[0].describe(1, {kBuffers + 100, 20, kDescriptorWrite, 0});
    drivers_[0].make_available(0);
    EXPECT_EQ(serve(kRequestQueue, 1)[0].length, 30U);
    EXPECT_EQ(get(kBuffers, 11), std::string(10, '\0') + ".");
    EXPECT_EQ(get(kBuffers + 100, 21), std::string(20, '\0') + ".");
}

TEST_F(EntropyDeviceTest, ASourceThatHasEndedIsReplaced) {
    start("/dev/null");
    put(kBuffers, std::string(64, '\0'));
    offer(kRequestQueue, 0, kBuffers, 64, true);
    EXPECT_EQ(serve(kRequestQueue, 1)[0].length, 64U);
    EXPECT_NE(get(kBuffers, 64), std::string(64, '\0'));
}

TEST(EntropySourceTest, RefusesADescriptorThatDoesNotWait) {
    const io::Fd source(::open("/dev/zero", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_THROW(EntropySource("fd=" + std::to_string(source.get())), io::Error);
}

TEST_F(EntropyDeviceTest, AResetEndsAReadThatWaitsForItsSource) {
    const cxlvm::test::Terminal terminal;
    start("fd=" + std::to_string(terminal.screen.get()));
    for (int round = 0; round < 5; ++round) {
        put(kBuffers, std::string(64, '.'));
        offer(kRequestQueue, 0, kBuffers, 64, true);
        serve_none(kRequestQueue);
        reset();
        EXPECT_EQ(get(kBuffers, 64), std::string(64, '.'));
        device_->queue_notified(kRequestQueue);  // late
        run_out();
        activate(0, {kRequestQueue});
    }
    offer(kRequestQueue, 0, kBuffers, 64, true);
    serve_none(kRequestQueue);
    ASSERT_EQ(::write(terminal.user.get(), "random\n", 7), 7);
    EXPECT_EQ(serve(kRequestQueue, 1, false)[0].length, 7U);
    EXPECT_EQ(get(kBuffers, 8), "random\n.");
}

TEST_F(EntropyDeviceTest, AnErrorOfTheRingFailsTheDevice) {
    start();
    drivers_[0].set_avail_index(1000);
    device_->queue_notified(kRequestQueue);
    ASSERT_TRUE(serve_until([&] { return host_.failure != nullptr; }));
    EXPECT_STREQ(host_.failure, describe(QueueError::AvailIndex));
}

TEST_F(EntropyDeviceTest, RequestsNeedNoAllocation) {
    start("/dev/zero");
    offer(kRequestQueue, 0, kBuffers, 64, true);
    serve(kRequestQueue, 1);
    const cxlvm::test::AllocationCounter counter;
    offer(kRequestQueue, 1, kBuffers, 64, true);
    device_->queue_notified(kRequestQueue);
    while (drivers_[0].used_index() != 2) {
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
}

TEST(EntropySourceTest, OnlyACharacterDeviceThatCanBeReadIsOne) {
    const auto refusal = [](const std::string& path) -> std::string {
        try {
            const EntropySource source(path);
        } catch (const io::Error& error) {
            EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
            return error.what();
        }
        return {};
    };
    EXPECT_EQ(refusal(""), "");
    EXPECT_EQ(refusal("/dev/urandom"), "");
    EXPECT_NE(refusal("/nowhere/at/all").find("--rng"), std::string::npos);
    EXPECT_NE(refusal("/proc/self/exe").find("not a character device"), std::string::npos);
    EXPECT_NE(refusal("/tmp").find("not a character device"), std::string::npos);
    const cxlvm::test::Pipe pipe;
    EXPECT_NE(refusal("fd=" + std::to_string(pipe.reader.get())), "");
    EXPECT_NE(refusal("fd=9999"), "");
    const io::Fd sink = io::open_file("/dev/null", O_WRONLY);
    EXPECT_NE(refusal("fd=" + std::to_string(sink.get())).find("cannot be read"),
              std::string::npos);
}

}  // namespace
}  // namespace cxlvm::virtio::entropy
