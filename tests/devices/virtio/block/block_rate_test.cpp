// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "devices/virtio/block/block_device.hpp"
#include "tests/devices/virtio/block/disk_support.hpp"
#include "tests/devices/virtio/device_fixture.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/stepped_clock.hpp"
#include "tests/support/stepped_rate.hpp"

namespace cxlvm::virtio::block {
namespace {

using namespace std::chrono_literals;
using cxlvm::test::SteppedClock;

// A token comes each microsecond of the stepped clock; the timers are those of the host, and short.
constexpr std::uint64_t kRate = 1'000'000;
constexpr std::uint64_t kSectors = 4096;
constexpr std::uint64_t kBufferSize = 0x1000;
constexpr std::uint64_t kStatusOffset = 0x10;
constexpr std::uint64_t kDataOffset = 0x100;
constexpr std::uint8_t kUnanswered = 0xee;

class BlockRateTest : public test::DeviceTest {
  protected:
    void make(const RateLimits& rates, unsigned queues = 1) {
        device_.emplace(BlockConfig{.disk = image_.config(), .queues = queues, .rates = rates},
                        loop_, log_, SteppedClock::now);
        connect(*device_);
        begin();
    }
    void begin() {
        constexpr std::uint64_t kFeatures = kFeatureFlush | kFeatureDiscard | kFeatureWriteZeroes;
        device_->queues().size() == 1 ? activate(kFeatures, {0}) : activate(kFeatures, {0, 1});
    }
    void TearDown() override { reset(); }

    static std::uint64_t buffer(std::uint16_t queue, std::uint16_t n) {
        return kBuffers + kBufferSize * (32U * queue + n);
    }
    /// Request `n` of a queue, of three elements.
    void offer(std::uint16_t queue, std::uint16_t n, RequestType type, std::uint32_t size = 512) {
        cxlvm::test::VirtioDriver& driver = drivers_[queue];
        const std::uint64_t base = buffer(queue, n);
        const auto head = static_cast<std::uint16_t>(3 * n);
        const bool device_writes = type == RequestType::In || type == RequestType::GetId;
        driver.store(base, RequestHeader{static_cast<std::uint32_t>(type), 0, 0});
        driver.store(base + kStatusOffset, kUnanswered);
        driver.describe(head, {base, sizeof(RequestHeader), kDescriptorNext,
                               static_cast<std::uint16_t>(head + 1)});
        driver.describe(
            static_cast<std::uint16_t>(head + 1),
            {base + kDataOffset, size,
             static_cast<std::uint16_t>(kDescriptorNext | (device_writes ? kDescriptorWrite : 0)),
             static_cast<std::uint16_t>(head + 2)});
        driver.describe(static_cast<std::uint16_t>(head + 2),
                        {base + kStatusOffset, 1, kDescriptorWrite, 0});
        driver.make_available(head);
    }
    /// A discard or write of zeroes of 8 sectors in each of so many ranges.
    void offer_ranges(std::uint16_t n, RequestType type, std::uint32_t count) {
        for (std::uint32_t i = 0; i < count; ++i) {
            drivers_[0].store(buffer(0, n) + kDataOffset + i * sizeof(SectorRange),
                              SectorRange{.sector = 16 * i, .sectors = 8, .flags = 0});
        }
        offer(0, n, type, count * static_cast<std::uint32_t>(sizeof(SectorRange)));
    }
    /// How many requests of a queue have been answered since it began.
    [[nodiscard]] unsigned answered(std::uint16_t queue) { return drivers_[queue].used_index(); }
    /// Serves the loop until so many are answered, and then sees that it stays at that.
    void run(std::uint16_t queue, std::size_t count) {
        device_->queue_notified(queue);
        cxlvm::test::serve_exactly(loop_, count, [&] { return std::size_t{answered(queue)}; });
    }
    void take(std::uint16_t queue, std::initializer_list<cxlvm::test::RateStep> steps) {
        cxlvm::test::take_steps(steps, [&](std::size_t done) { run(queue, done); });
    }

    SteppedClock clock_;
    cxlvm::test::DiskImage image_{kSectors};
    std::optional<BlockDevice> device_;
};

TEST_F(BlockRateTest, OperationsWaitForTheirRate) {
    make({.operations = {.rate = kRate, .burst = 3}});
    for (std::uint16_t n = 0; n < 6; ++n) {
        offer(0, n, n % 2 == 0 ? RequestType::In : RequestType::Out);
    }
    take(0, {{0us, 3}, {1us, 4}, {1h, 6}});
    EXPECT_EQ(get(buffer(0, 5) + kStatusOffset, 1), std::string(1, '\0'));
}

TEST_F(BlockRateTest, BytesOfReadsAndWritesWaitForTheirRate) {
    make({.bytes = {.rate = kRate, .burst = 1024}});
    offer(0, 0, RequestType::In);
    offer(0, 1, RequestType::Out);
    offer(0, 2, RequestType::In);
    take(0, {{0us, 2}, {511us, 2}, {1us, 3}});
}

TEST_F(BlockRateTest, ARequestLargerThanTheBurstGoesThroughAndOwesTheRest) {
    make({.bytes = {.rate = kRate, .burst = 512}});
    offer(0, 0, RequestType::In, 2048);
    offer(0, 1, RequestType::In, 2048);
    take(0, {{0us, 1}, {2047us, 1}, {1us, 2}});
}

TEST_F(BlockRateTest, AFlushIsAnOperationOfNoBytesAndAnIdIsNothing) {
    make({.bytes = {.rate = 1, .burst = 512}, .operations = {.rate = kRate, .burst = 2}});
    offer(0, 0, RequestType::In);
    offer(0, 1, RequestType::Flush);
    for (std::uint16_t n = 2; n < 5; ++n) {
        offer(0, n, RequestType::GetId);
    }
    offer(0, 5, RequestType::In, 100);  // is refused
    run(0, 6);
    offer(0, 6, RequestType::Flush);
    take(0, {{0us, 6}, {1us, 7}});
}

TEST_F(BlockRateTest, ZeroesCountAsBytesAndEachRangeAsAnOperation) {
    make({.bytes = {.rate = kRate, .burst = 4096}, .operations = {.rate = kRate, .burst = 4}});
    offer_ranges(0, RequestType::Discard, 3);
    offer_ranges(1, RequestType::WriteZeroes, 1);
    offer(0, 2, RequestType::In);
    take(0, {{0us, 2}, {511us, 2}, {1us, 3}});
}

TEST_F(BlockRateTest, QueuesTakeTurns) {
    make({.operations = {.rate = kRate, .burst = 1}}, 2);
    for (std::uint16_t queue = 0; queue < 2; ++queue) {
        for (std::uint16_t n = 0; n < 10; ++n) {
            offer(queue, n, RequestType::In);
        }
    }
    device_->queue_notified(0);
    device_->queue_notified(1);
    for (unsigned total = 1; total <= 20; ++total) {
        ASSERT_TRUE(serve_until([&] { return answered(0) + answered(1) >= total; }));
        ASSERT_EQ(answered(0) + answered(1), total);
        ASSERT_LE(answered(0), answered(1) + 2);
        ASSERT_LE(answered(1), answered(0) + 1);
        SteppedClock::advance(1us);
    }
}

TEST_F(BlockRateTest, AResetEndsTheWaitAtOnce) {
    make({.bytes = {.rate = 1, .burst = 512}}, 2);  // minutes for each request
    offer(0, 0, RequestType::In);
    run(0, 1);
    for (int round = 0; round < 3; ++round) {
        offer(0, 1, RequestType::In);
        offer(0, 2, RequestType::In);
        offer(1, 0, RequestType::In);
        device_->queue_notified(0);
        device_->queue_notified(1);
        run_out();
        const unsigned before = answered(0);
        reset();
        run_out();
        EXPECT_EQ(answered(0), before);
        EXPECT_EQ(answered(1), 0U);
        begin();
    }
}

TEST_F(BlockRateTest, AResetFillsNoBucket) {
    make({.operations = {.rate = kRate, .burst = 2}});
    for (std::uint16_t n = 0; n < 3; ++n) {
        offer(0, n, RequestType::In);
    }
    run(0, 2);
    reset();
    begin();
    for (std::uint16_t n = 0; n < 3; ++n) {
        offer(0, n, RequestType::In);
    }
    take(0, {{0us, 0}, {1us, 1}, {1h, 3}});
}

TEST_F(BlockRateTest, WaitingNeedsNoAllocation) {
    make({.operations = {.rate = kRate, .burst = 1}});
    offer(0, 0, RequestType::In);
    run(0, 1);
    const cxlvm::test::AllocationCounter counter;
    offer(0, 1, RequestType::In);
    offer(0, 2, RequestType::In);
    device_->queue_notified(0);
    while (answered(0) != 3) {
        SteppedClock::advance(1us);
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
}

}  // namespace
}  // namespace cxlvm::virtio::block
