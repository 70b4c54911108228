// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/balloon/balloon_device.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/devices/virtio/device_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::virtio::balloon {
namespace {

using cxlvm::test::kHighBase;
using cxlvm::test::kHoleBase;

constexpr std::uint64_t kAll = kFeatureStatistics | kFeatureReporting | kFeatureDeflateOnOom;
const BalloonConfig kEverything{.target = 0x5'0000,
                                .deflate_on_oom = true,
                                .reporting = true,
                                .statistics = std::chrono::seconds(1000)};

class BalloonDeviceTest : public virtio::test::DeviceTest {
  protected:
    void make(const BalloonConfig& config) {
        device_.emplace(config, memory_, loop_, log_);
        connect(*device_);
    }
    void start(std::initializer_list<std::uint16_t> queues, std::uint64_t features = kAll) {
        make(kEverything);
        activate(features, queues);
    }
    void TearDown() override {
        if (device_) {
            reset();
        }
    }
    void offer_pages(std::uint16_t queue, std::uint16_t head, std::uint64_t address,
                     const std::vector<std::uint32_t>& numbers) {
        std::string bytes(numbers.size() * 4, '\0');
        std::memcpy(bytes.data(), numbers.data(), bytes.size());
        put(address, bytes);
        offer(queue, head, address, static_cast<std::uint32_t>(bytes.size()), false);
    }
    [[nodiscard]] std::uint32_t config(std::size_t offset) const {
        std::uint32_t value = 0;
        std::memcpy(&value, host_.config.data() + offset, sizeof(value));
        return value;
    }

    std::optional<BalloonDevice> device_;
};

TEST_F(BalloonDeviceTest, OffersWhatItIsToldTo) {
    {
        const BalloonDevice plain({.deflate_on_oom = false}, memory_, loop_, log_);
        EXPECT_EQ(plain.id(), DeviceId::Balloon);
        EXPECT_EQ(plain.features(), 0U);
        EXPECT_EQ(plain.queues().size(), 2U);
    }
    const BalloonDevice statistics({.deflate_on_oom = false, .statistics = std::chrono::seconds(1)},
                                   memory_, loop_, log_);
    EXPECT_EQ(statistics.features(), kFeatureStatistics);
    EXPECT_EQ(statistics.queues().size(), 3U);
    start({kInflateQueue});
    EXPECT_EQ(device_->features(), kAll);
    EXPECT_EQ(device_->queues().size(), 5U);
    EXPECT_EQ(config(kConfigNumPages), 0x50U);
    EXPECT_EQ(config(kConfigActual), 0U);
}

TEST_F(BalloonDeviceTest, TheTargetIsWholePagesOfRamAtMost) {
    start({kInflateQueue});
    device_->set_target(0x3'0fff);
    EXPECT_EQ(config(kConfigNumPages), 0x30U);
    device_->set_target(~std::uint64_t{0});
    EXPECT_EQ(config(kConfigNumPages), 0x100U);
    device_->set_target(0);
    EXPECT_EQ(config(kConfigNumPages), 0U);
}

TEST_F(BalloonDeviceTest, TheDriverSaysHowLargeItIs) {
    start({kInflateQueue});
    const std::uint32_t pages = 0x8000'0001;
    const auto bytes = std::as_bytes(std::span(&pages, 1));
    EXPECT_TRUE(device_->write_config(kConfigActual, bytes));
    EXPECT_EQ(device_->size(), 0x8000'0001ULL * 4096);
    EXPECT_FALSE(device_->write_config(kConfigNumPages, bytes)) << "that is ours to say";
    EXPECT_FALSE(device_->write_config(kConfigActual, bytes.first(2)));
    reset();
    EXPECT_EQ(device_->size(), 0U);
    EXPECT_EQ(config(kConfigNumPages), 0x50U) << "what is wanted stays";
}

TEST_F(BalloonDeviceTest, InflatingGivesPagesToTheHost) {
    start({kInflateQueue, kDeflateQueue});
    constexpr std::uint64_t kBase = 0x5'0000;
    put(kBase, std::string(0x1'0000, 'g'));
    put(kHighBase, std::string(0x1000, 'g'));
    offer_pages(kInflateQueue, 0, kBuffers, {0x55, 0x52, 0x51, 0x200, 0x51});
    EXPECT_EQ(serve(kInflateQueue, 1)[0].length, 0U);
    EXPECT_EQ(device_->discarded(), 4 * kPageSize);
    for (const std::uint64_t page : {0x51U, 0x52U, 0x55U, 0x200U}) {
        EXPECT_EQ(get(page << kPageShift, 0x1000), std::string(0x1000, '\0')) << page;
    }
    for (const std::uint64_t page : {0x50U, 0x53U, 0x54U, 0x56U}) {
        EXPECT_EQ(get(page << kPageShift, 0x1000), std::string(0x1000, 'g')) << page;
    }
    offer_pages(kDeflateQueue, 0, kBuffers, {0x51, 0x50});
    serve(kDeflateQueue, 1);
    EXPECT_EQ(get(kBase, 0x1000), std::string(0x1000, 'g'));
    EXPECT_EQ(device_->discarded(), 4 * kPageSize);
}

TEST_F(BalloonDeviceTest, PagesThatAreNotRamAreIgnored) {
    start({kInflateQueue});
    put(kHoleBase - 0x1000, std::string(0x1000, 'g'));
    offer_pages(kInflateQueue, 0, kBuffers,
                {kHoleBase >> kPageShift, (kHighBase >> kPageShift) - 1,
                 (kHighBase >> kPageShift) + 0x80, 0xffff'ffff, (kHoleBase >> kPageShift) - 1});
    serve(kInflateQueue, 1);
    EXPECT_EQ(device_->discarded(), kPageSize);
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(BalloonDeviceTest, AHugeListGivesWayToTheLoop) {
    start({kInflateQueue});
    constexpr std::uint32_t kNumbers = 0x4000;
    std::vector<std::uint32_t> numbers(kNumbers, 0x7f);
    offer_pages(kInflateQueue, 0, kBuffers, numbers);
    device_->queue_notified(kInflateQueue);
    int others = 0;
    io::Task other{&others, [](void* count) noexcept { ++*static_cast<int*>(count); }};
    loop_.post(other);
    while (others == 0) {
        loop_.run_ready();
    }
    EXPECT_LE(device_->discarded(), 2 * kPageSize);
    serve(kInflateQueue, 1, false);
    EXPECT_EQ(device_->discarded(), kNumbers / PageBatch::kMaxPages * kPageSize)
        << "once in each batch";
}

TEST_F(BalloonDeviceTest, ReportedPagesGoToTheHost) {
    for (const std::uint16_t queue : {kReportingQueue, std::uint16_t{3}}) {
        rings_.clear();
        start({kInflateQueue, kDeflateQueue, kStatisticsQueue, queue});
        put(0x5'0000, std::string(0x1'0000, 'g'));
        drivers_[queue].describe(0, {0x5'1000, 0x2000, kDescriptorWrite | kDescriptorNext, 1});
        drivers_[queue].describe(1, {0x5'7000, 0x1000, kDescriptorWrite, 0});
        drivers_[queue].make_available(0);
        serve(queue, 1);
        EXPECT_EQ(get(0x5'0000, 0x1000), std::string(0x1000, 'g'));
        EXPECT_EQ(get(0x5'1000, 0x2000), std::string(0x2000, '\0'));
        EXPECT_EQ(get(0x5'3000, 0x1000), std::string(0x1000, 'g'));
        EXPECT_EQ(get(0x5'7000, 0x1000), std::string(0x1000, '\0'));
        EXPECT_EQ(device_->discarded(), 0x3000U);
        reset();
    }
}

TEST_F(BalloonDeviceTest, WithoutStatisticsTheGapInTheNumbersIsLarger) {
    start({kInflateQueue, kDeflateQueue, 2}, kFeatureReporting);
    put(0x5'1000, std::string(0x1000, 'g'));
    offer(2, 0, 0x5'1000, 0x1000, true);
    serve(2, 1);
    EXPECT_EQ(device_->discarded(), 0x1000U);
    EXPECT_FALSE(device_->statistics().has_value());
}

TEST_F(BalloonDeviceTest, StatisticsAreAskedForAgainAndAgain) {
    make({.statistics = std::chrono::seconds(1)});
    activate(kFeatureStatistics, {kInflateQueue, kDeflateQueue, kStatisticsQueue});
    EXPECT_FALSE(device_->statistics().has_value());
    const auto report = [this](std::uint64_t value) {
        const auto tag = static_cast<std::uint16_t>(Statistic::FreeMemory);
        ASSERT_TRUE(memory_.store(Gpa(kBuffers), tag));
        ASSERT_TRUE(memory_.store(Gpa(kBuffers + 2), value));
        offer(kStatisticsQueue, 0, kBuffers, 10, false);
        device_->queue_notified(kStatisticsQueue);
    };
    for (const std::uint64_t value : {111U, 222U}) {
        report(value);
        ASSERT_TRUE(serve_until([&] {
            const auto now = device_->statistics();
            return now && now->get(Statistic::FreeMemory) == value;
        }));
        EXPECT_FALSE(device_->statistics()->get(Statistic::SwapIn).has_value());
        serve_none(kStatisticsQueue);
        EXPECT_EQ(serve(kStatisticsQueue, 1, false)[0].id, 0U) << "the next one is wanted";
    }
    report(333);
    run_out();
    reset();
    EXPECT_FALSE(device_->statistics().has_value());
}

TEST_F(BalloonDeviceTest, AResetEndsAListThatIsLong) {
    start({kInflateQueue, kDeflateQueue, kStatisticsQueue, kReportingQueue});
    for (int round = 0; round < 10; ++round) {
        offer_pages(kInflateQueue, 0, kBuffers, std::vector<std::uint32_t>(0x4000, 0x7f));
        offer(kStatisticsQueue, 0, kBuffers, 100, false);
        offer(kReportingQueue, 0, 0x5'0000, 0x1000, true);
        for (const std::uint16_t queue : {kInflateQueue, kStatisticsQueue, kReportingQueue}) {
            device_->queue_notified(queue);
        }
        loop_.run_ready();
        reset();
        const std::uint64_t before = device_->discarded();
        device_->queue_notified(kInflateQueue);
        run_out();
        EXPECT_EQ(device_->discarded(), before) << "nothing is touched after the reset";
        activate(kAll, {kInflateQueue, kDeflateQueue, kStatisticsQueue, kReportingQueue});
    }
    EXPECT_EQ(host_.failure, nullptr);
}

TEST_F(BalloonDeviceTest, AnErrorOfARingFailsTheDevice) {
    start({kInflateQueue, kDeflateQueue});
    drivers_[kDeflateQueue].set_avail_index(1000);
    device_->queue_notified(kDeflateQueue);
    ASSERT_TRUE(serve_until([&] { return host_.failure != nullptr; }));
    EXPECT_STREQ(host_.failure, describe(QueueError::AvailIndex));
}

TEST_F(BalloonDeviceTest, InflatingNeedsNoAllocation) {
    start({kInflateQueue});
    offer_pages(kInflateQueue, 0, kBuffers, {0x51});
    serve(kInflateQueue, 1);
    offer_pages(kInflateQueue, 1, kBuffers, {0x51, 0x53});
    const cxlvm::test::AllocationCounter counter;
    device_->queue_notified(kInflateQueue);
    while (drivers_[kInflateQueue].used_index() != 2) {
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
}

}  // namespace
}  // namespace cxlvm::virtio::balloon
