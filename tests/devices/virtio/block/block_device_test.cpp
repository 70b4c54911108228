// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_device.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/error.hpp"
#include "tests/devices/virtio/block/disk_support.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio::block {
namespace {

using test::serve_until;

constexpr std::uint64_t kSectors = 4096;
constexpr std::uint16_t kRing = 256;
constexpr std::uint64_t kBuffers = 0x2'0000;  ///< one of 2 KiB for each head
constexpr std::uint64_t kBufferSize = 0x800;
constexpr std::uint64_t kDataOffset = 0x100;
constexpr std::uint64_t kStatusOffset = 0x80;
constexpr std::uint8_t kUnanswered = 0xee;

class FakeHost final : public DeviceHost {
  public:
    void notify_queue(std::uint16_t /*queue*/) noexcept override { ++notified; }
    void update_config(std::size_t /*offset*/,
                       std::span<const std::byte> /*data*/) noexcept override {
        ADD_FAILURE() << "a disk's configuration does not change";
    }
    void fail(const char* why) noexcept override { failure = why; }
    void reset_done() noexcept override { ++resets; }

    int notified = 0;
    int resets = 0;
    const char* failure = nullptr;
};

class BlockDeviceTest : public testing::Test {
  protected:
    void make(BlockConfig config = {}) {
        config.disk = image_.config();
        device_.emplace(config, loop_, log_);
        device_->attach(host_);
        for (const QueueLimits& limits : device_->queues()) {
            rings_.emplace_back(memory_, limits);
        }
    }
    void activate(std::uint64_t features = kFeatureFlush | kFeatureDiscard | kFeatureWriteZeroes) {
        driver_.emplace(memory_, kRing);
        ASSERT_TRUE(rings_[0].start(driver_->setup()));
        ASSERT_TRUE(device_->activate({.features = features, .queues = rings_}));
        device_->queue_notified(0);
    }
    void SetUp() override {
        make();
        activate();
    }
    void TearDown() override {
        device_->reset();
        EXPECT_TRUE(serve_until(loop_, [&] { return host_.resets > 0; }));
    }

    static std::uint64_t buffer(std::uint16_t head) { return kBuffers + kBufferSize * head; }
    /// A chain of three elements, heads 3 n: header, data (if any) and status.
    void offer(std::uint16_t n, RequestType type, std::uint64_t sector, std::uint32_t size) {
        const std::uint64_t base = buffer(n);
        const auto head = static_cast<std::uint16_t>(3 * n);
        const bool device_writes = type == RequestType::In || type == RequestType::GetId;
        driver_->store(base, RequestHeader{static_cast<std::uint32_t>(type), 0, sector});
        driver_->store(base + kStatusOffset, kUnanswered);
        const auto second = static_cast<std::uint16_t>(head + 1);
        const auto third = static_cast<std::uint16_t>(head + 2);
        driver_->describe(head, {base, sizeof(RequestHeader), kDescriptorNext, second});
        driver_->describe(
            second,
            {base + kDataOffset, size,
             static_cast<std::uint16_t>(kDescriptorNext | (device_writes ? kDescriptorWrite : 0)),
             third});
        driver_->describe(third, {base + kStatusOffset, 1, kDescriptorWrite, 0});
        driver_->make_available(head);
    }
    void put_data(std::uint16_t n, const std::string& text) {
        ASSERT_TRUE(memory_.write(Gpa(buffer(n) + kDataOffset), std::as_bytes(std::span(text))));
    }
    [[nodiscard]] std::string data(std::uint16_t n, std::size_t size) const {
        std::string text(size, '?');
        EXPECT_TRUE(
            memory_.read(Gpa(buffer(n) + kDataOffset), std::as_writable_bytes(std::span(text))));
        return text;
    }
    [[nodiscard]] int status(std::uint16_t n) const {
        return driver_->load<std::uint8_t>(buffer(n) + kStatusOffset);
    }
    /// Notifies the device and waits until `count` more requests are used.
    std::vector<UsedElement> serve(std::size_t count) {
        device_->queue_notified(0);
        std::vector<UsedElement> used;
        EXPECT_TRUE(serve_until(loop_, [&] {
            while (const auto element = driver_->take_used()) {
                used.push_back(*element);
            }
            return used.size() >= count;
        }));
        return used;
    }
    template <typename T>
    [[nodiscard]] T config(Config field) const {
        T value;
        std::memcpy(&value, device_->initial_config().data() + static_cast<std::size_t>(field),
                    sizeof(T));
        return value;
    }

    [[nodiscard]] std::string logged() const {
        std::string text(1000, '?');
        const ssize_t size = ::pread(log_file_.get(), text.data(), text.size(), 0);
        text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return text;
    }

    io::Fd log_file_{::memfd_create("log", MFD_CLOEXEC)};
    io::Log log_{log_file_.get(), io::LogLevel::Warn};
    GuestMemory memory_{test::two_blocks()};
    io::EventLoop loop_{{.entries = 32, .name = "test"}};
    FakeHost host_;
    test::DiskImage image_{kSectors};
    std::optional<BlockDevice> device_;
    std::vector<SplitQueue> rings_;
    std::optional<test::VirtioDriver> driver_;
};

TEST_F(BlockDeviceTest, SaysWhatItIs) {
    EXPECT_EQ(device_->id(), DeviceId::Block);
    EXPECT_EQ(device_->queues().size(), 1U);
    EXPECT_EQ(config<std::uint64_t>(Config::Capacity), kSectors);
    EXPECT_EQ(config<std::uint32_t>(Config::BlockSize), 512U);
    EXPECT_EQ(config<std::uint16_t>(Config::NumQueues), 1U);
    EXPECT_EQ(config<std::uint32_t>(Config::SegMax) + 2U, device_->queues()[0].max_segments);
    EXPECT_EQ(config<std::uint32_t>(Config::MaxDiscardSeg), kMaxRanges);
    EXPECT_EQ(device_->features() & (kFeatureReadOnly | kFeatureMultiQueue), 0U);
}

TEST_F(BlockDeviceTest, ReadsIntoAndWritesFromGuestMemory) {
    offer(0, RequestType::In, 2, 1024);
    auto used = serve(1);
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].id, 0U);
    EXPECT_EQ(used[0].length, 1025U);
    EXPECT_EQ(status(0), 0);
    EXPECT_EQ(data(0, 1024), std::string(512, 'c') + std::string(512, 'd'));
    EXPECT_GE(host_.notified, 1);

    put_data(1, std::string(512, 'W'));
    offer(1, RequestType::Out, 7, 512);
    used = serve(1);
    ASSERT_EQ(used.size(), 1U);
    EXPECT_EQ(used[0].id, 3U);
    EXPECT_EQ(used[0].length, 1U);
    EXPECT_EQ(status(1), 0);
    EXPECT_EQ(image_.get(7 * 512, 512), std::string(512, 'W'));
}

TEST_F(BlockDeviceTest, FlushAndIdAreAnswered) {
    put_data(1, std::string(64, '.'));
    offer(0, RequestType::Flush, 0, 0);
    offer(1, RequestType::GetId, 0, kIdSize);
    EXPECT_EQ(serve(2).size(), 2U);
    EXPECT_EQ(status(0), 0);
    EXPECT_EQ(status(1), 0);
    EXPECT_EQ(data(1, 21), std::string(20, '\0') + ".");
}

TEST_F(BlockDeviceTest, OnlyWhatWasWrittenCountsAsUsed) {
    // The id has 20 bytes, whatever room there is: the status behind it then lies past a gap.
    offer(0, RequestType::GetId, 0, kIdSize);
    offer(1, RequestType::GetId, 0, 64);
    offer(2, RequestType::In, kSectors, 512);
    std::map<std::uint32_t, std::uint32_t> lengths;
    for (const UsedElement& element : serve(3)) {
        lengths[element.id] = element.length;
    }
    EXPECT_EQ(lengths[0], kIdSize + 1);
    EXPECT_EQ(lengths[3], kIdSize);
    EXPECT_EQ(lengths[6], 0U);
}

TEST_F(BlockDeviceTest, RefusedRequestsTouchNothing) {
    put_data(0, std::string(512, 'X'));
    offer(0, RequestType::Out, kSectors, 512);
    offer(1, RequestType::In, 0, 100);
    offer(2, RequestType::SecureErase, 0, 16);
    EXPECT_EQ(serve(3).size(), 3U);
    EXPECT_EQ(status(0), 1);
    EXPECT_EQ(status(1), 1);
    EXPECT_EQ(status(2), 2);
    EXPECT_EQ(image_.get(kSectors * 512, 512), "");
    EXPECT_EQ(host_.failure, nullptr) << "the device goes on";
}

TEST_F(BlockDeviceTest, AFailureIsLoggedWithTheDiskAndThePlace) {
    ASSERT_EQ(::ftruncate(image_.fd(), 4096), 0);
    offer(0, RequestType::In, 7, 1024);
    ASSERT_EQ(serve(1).size(), 1U);
    EXPECT_EQ(status(0), 1);
    EXPECT_EQ(logged(), "cxlvm: warn: disk " + image_.config().path +
                            ": a read at byte 4096 failed: the file has become shorter than the "
                            "disk\n");
}

TEST_F(BlockDeviceTest, KeepsItsSizeWhenTheFileGrows) {
    ASSERT_EQ(::ftruncate(image_.fd(), 2 * kSectors * 512), 0);
    put_data(1, std::string(512, 'X'));
    offer(0, RequestType::In, kSectors, 512);
    offer(1, RequestType::Out, kSectors, 512);
    offer(2, RequestType::In, kSectors - 1, 512);
    EXPECT_EQ(serve(3).size(), 3U);
    EXPECT_EQ(status(0), 1);
    EXPECT_EQ(status(1), 1);
    EXPECT_EQ(status(2), 0);
    EXPECT_EQ(image_.get(kSectors * 512, 512), std::string(512, '\0'));
    EXPECT_EQ(config<std::uint64_t>(Config::Capacity), kSectors);
    EXPECT_EQ(logged(), "") << "the driver's mistake, not the host's";
}

TEST_F(BlockDeviceTest, KeepsItsSizeWhenTheFileBecomesShorter) {
    ASSERT_EQ(::ftruncate(image_.fd(), 4096), 0);
    put_data(1, std::string(512, 'X'));
    offer(0, RequestType::In, 100, 512);
    EXPECT_EQ(serve(1).size(), 1U);
    EXPECT_EQ(status(0), 1) << "there is nothing to be read";
    offer(1, RequestType::Out, 100, 512);
    EXPECT_EQ(serve(1).size(), 1U);
    EXPECT_EQ(status(1), 0) << "a write makes the file longer";
    EXPECT_EQ(image_.get(100 * 512, 1024), std::string(512, 'X'));
    offer(0, RequestType::In, 99, 1024);
    offer(2, RequestType::In, 101, 512);
    EXPECT_EQ(serve(2).size(), 2U);
    EXPECT_EQ(status(0), 0);
    EXPECT_EQ(data(0, 1024), std::string(512, '\0') + std::string(512, 'X'));
    EXPECT_EQ(status(2), 1);
}

TEST_F(BlockDeviceTest, MoreRequestsThanItTakesAtOnceAreAllServed) {
    constexpr std::uint16_t kRequests = 64;
    for (int round = 0; round < 5; ++round) {
        for (std::uint16_t n = 0; n < kRequests; ++n) {
            offer(n, RequestType::In, n, 512);
        }
        std::set<std::uint32_t> heads;
        for (const UsedElement& element : serve(kRequests)) {
            heads.insert(element.id);
        }
        ASSERT_EQ(heads.size(), kRequests);
        for (std::uint16_t n = 0; n < kRequests; ++n) {
            ASSERT_EQ(status(n), 0);
            ASSERT_EQ(data(n, 512), std::string(512, test::DiskImage::letter(n)));
        }
    }
}

TEST_F(BlockDeviceTest, WhatComesWhileItWorksNeedsNoNotification) {
    offer(0, RequestType::In, 0, 512);
    device_->queue_notified(0);
    loop_.run_ready();
    for (std::uint16_t n = 1; n < 10; ++n) {
        ASSERT_EQ(driver_->used_flags(), kUsedNoNotify);
        offer(n, RequestType::In, n, 512);
        loop_.run_ready();
    }
    ASSERT_TRUE(serve_until(loop_, [&] { return driver_->used_index() == 10; }));
    EXPECT_TRUE(serve_until(loop_, [&] { return driver_->used_flags() == 0; }));
}

TEST_F(BlockDeviceTest, RequestsNeedNoAllocation) {
    offer(0, RequestType::In, 0, 512);
    serve(1);
    const test::AllocationCounter counter;
    offer(1, RequestType::In, 1, 512);
    offer(2, RequestType::Out, 2, 512);
    offer(3, RequestType::Flush, 0, 0);
    device_->queue_notified(0);
    const std::uint16_t before = driver_->used_index();
    while (static_cast<std::uint16_t>(driver_->used_index() - before) != 3) {
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
}

TEST_F(BlockDeviceTest, AnErrorOfTheRingFailsTheDevice) {
    driver_->set_avail_index(1000);
    device_->queue_notified(0);
    ASSERT_TRUE(serve_until(loop_, [&] { return host_.failure != nullptr; }));
    EXPECT_STREQ(host_.failure, describe(QueueError::AvailIndex));
}

TEST_F(BlockDeviceTest, AResetWaitsForWhatIsInFlightAndANewRoundBegins) {
    for (int round = 1; round <= 20; ++round) {
        for (std::uint16_t n = 0; n < 40; ++n) {
            offer(n, n % 2 == 0 ? RequestType::In : RequestType::Out, n, 512);
        }
        device_->queue_notified(0);
        loop_.run_ready();
        device_->reset();
        ASSERT_TRUE(serve_until(loop_, [&] { return host_.resets == round; }));
        const std::uint16_t used = driver_->used_index();
        device_->queue_notified(0);  // late
        loop_.run_ready();
        EXPECT_EQ(driver_->used_index(), used) << "nothing is touched after the reset";
        rings_[0].stop();
        for (std::uint64_t address = 0x1000; address < 0xa000; address += 8) {
            driver_->store(address, std::uint64_t{0});
        }
        activate();
        offer(0, RequestType::In, 3, 512);
        ASSERT_EQ(serve(1).size(), 1U);
        ASSERT_EQ(status(0), 0);
    }
    EXPECT_EQ(host_.failure, nullptr);
}

TEST(BlockConfigTest, NumbersOutOfRangeAreRefused) {
    const test::DiskImage image(8);
    io::EventLoop loop{{.entries = 8, .name = "test"}};
    io::Log log{2, io::LogLevel::Off};
    const auto refused = [&](BlockConfig config) {
        config.disk = image.config();
        try {
            const BlockDevice device(config, loop, log);
        } catch (const io::Error& error) {
            return error.fault() == io::Fault::Input;
        }
        return false;
    };
    EXPECT_TRUE(refused({.disk = {}, .id = std::string(21, 'x'), .queues = 1}));
    EXPECT_TRUE(refused({.disk = {}, .id = {}, .queues = 0}));
    EXPECT_TRUE(refused({.disk = {}, .id = {}, .queues = 65}));
    EXPECT_FALSE(refused({.disk = {}, .id = std::string(20, 'x'), .queues = 64}));
}

TEST(BlockConfigTest, AReadOnlyDiskOffersNothingThatWrites) {
    const test::DiskImage image(8);
    io::EventLoop loop{{.entries = 8, .name = "test"}};
    io::Log log{2, io::LogLevel::Off};
    BlockConfig config{.disk = image.config(), .id = {}, .queues = 4};
    config.disk.read_only = true;
    const BlockDevice device(config, loop, log);
    EXPECT_NE(device.features() & kFeatureReadOnly, 0U);
    EXPECT_EQ(device.features() & (kFeatureDiscard | kFeatureWriteZeroes), 0U);
    EXPECT_NE(device.features() & kFeatureMultiQueue, 0U);
}

}  // namespace
}  // namespace cxlvm::virtio::block
