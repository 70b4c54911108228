// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/receive_queue.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/devices/virtio/net/net_fixture.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::header_of;
using test::no_offloads;
using test::pattern;

constexpr std::size_t kRx = 0;
constexpr std::uint64_t kBuffers = 0x20'0000;

class ReceiveTest : public test::NetFixture {
  protected:
    void SetUp() override { make(1, kFeatureGuestCsum | kFeatureGuestTso4); }
    static constexpr std::uint64_t kMerging = kFeatureMergeable | kFeatureGuestCsum;

    static std::uint64_t buffer(std::uint16_t n) { return kBuffers + 0x800ULL * n; }
    void offer_buffers(std::uint16_t first, std::uint16_t count, std::uint32_t size) {
        for (std::uint16_t n = first; n < first + count; ++n) {
            offer(kRx, n, buffer(n), size, true);
        }
    }
};

TEST_F(ReceiveTest, AFrameGoesIntoOneBuffer) {
    activate(kMerging);
    offer_buffers(0, 4, 1536);
    kick(kRx);
    network().put(no_offloads() + pattern(100));
    settle();
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 1U);
    EXPECT_EQ(elements[0].id, 0U);
    EXPECT_EQ(elements[0].length, 112U);
    EXPECT_EQ(read(buffer(0), 112), header_of(1) + pattern(100));
    EXPECT_EQ(host_.notified[kRx], 1);
}

TEST_F(ReceiveTest, ALongFrameIsSpreadOverBuffersAndSaysOverHowMany) {
    activate(kMerging | kFeatureGuestTso4);
    offer_buffers(0, 60, 1536);
    kick(kRx);
    network().put(no_offloads() + pattern(4000));
    network().put(no_offloads() + pattern(65535, 2));
    settle();
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 3U + 43U);
    EXPECT_EQ(elements[1].length, 1536U);
    EXPECT_EQ(elements[2].length, 4012U - 2 * 1536U);
    EXPECT_EQ(read(buffer(0), 1536) + read(buffer(1), 1536) + read(buffer(2), 4012 - 2 * 1536),
              header_of(3) + pattern(4000));
    std::string second;
    for (std::uint16_t n = 3; n < 46; ++n) {
        second += read(buffer(n), elements[n].length);
    }
    EXPECT_EQ(second, header_of(43) + pattern(65535, 2));
    EXPECT_EQ(host_.notified[kRx], 1) << "both were there: one notification";
}

TEST_F(ReceiveTest, FramesAtTheEdgesOfBuffersUseNoneInVain) {
    activate(kMerging);
    offer_buffers(0, 8, 1000);
    kick(kRx);
    network().put(no_offloads() + pattern(988));
    network().put(no_offloads() + pattern(989));
    settle();
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 3U);
    EXPECT_EQ(elements[0].length, 1000U);
    EXPECT_EQ(elements[1].length, 1000U);
    EXPECT_EQ(elements[2].length, 1U);
    EXPECT_EQ(read(buffer(0), 12), header_of(1));
    EXPECT_EQ(read(buffer(1), 12), header_of(2));
}

TEST_F(ReceiveTest, AFrameWaitsForTheBuffersThatItLacks) {
    activate(kMerging);
    offer_buffers(0, 2, 1536);
    kick(kRx);
    network().put(no_offloads() + pattern(4000));
    network().put(no_offloads() + pattern(50, 3));
    settle();
    EXPECT_TRUE(used(kRx).empty());
    offer_buffers(2, 1, 700);
    kick(kRx);
    EXPECT_TRUE(used(kRx).empty());
    offer_buffers(3, 2, 1536);
    kick(kRx);
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 5U);
    EXPECT_EQ(read(buffer(0), 1536) + read(buffer(1), 1536) + read(buffer(2), 700) +
                  read(buffer(3), 4012 - 2 * 1536 - 700),
              header_of(4) + pattern(4000));
    EXPECT_EQ(read(buffer(4), 62), header_of(1) + pattern(50, 3));
}

TEST_F(ReceiveTest, AFrameThatNeverFitsIsLostAndTheNextOneIsNot) {
    activate(kMerging, 4);
    offer_buffers(0, 4, 600);
    kick(kRx);
    network().put(no_offloads() + pattern(2389));
    network().put(no_offloads() + pattern(2388, 2));
    settle();
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 4U);
    EXPECT_EQ(read(buffer(0), 600), (header_of(4) + pattern(2388, 2)).substr(0, 600));
}

TEST_F(ReceiveTest, WithoutMergingAFrameHasOneBufferOrIsLost) {
    activate(kFeatureGuestCsum);
    offer_buffers(0, 3, 1526);
    kick(kRx);
    network().put(no_offloads() + pattern(1515));
    network().put(no_offloads() + pattern(1514, 2));
    network().put(no_offloads() + pattern(60, 3));
    settle();
    const auto elements = used(kRx);
    ASSERT_EQ(elements.size(), 2U);
    EXPECT_EQ(elements[0].length, 1526U);
    EXPECT_EQ(read(buffer(0), 1526), header_of(1) + pattern(1514, 2));
    EXPECT_EQ(read(buffer(1), 72), header_of(1) + pattern(60, 3));
}

TEST_F(ReceiveTest, ABufferMayHaveElementsOfAnyLength) {
    activate(kFeatureGuestCsum);
    // 20 elements of a byte, one without, then one for the rest.
    for (std::uint16_t i = 0; i < 22; ++i) {
        const std::uint32_t size = i < 20 ? 1 : i == 20 ? 0 : 1000;
        drivers_[kRx].describe(
            i, {kBuffers + 0x10ULL * i, size,
                static_cast<std::uint16_t>(kDescriptorWrite | (i < 21 ? kDescriptorNext : 0)),
                static_cast<std::uint16_t>(i + 1)});
    }
    drivers_[kRx].make_available(0);
    kick(kRx);
    network().put(no_offloads() + pattern(200));
    settle();
    ASSERT_EQ(used(kRx).size(), 1U);
    std::string bytes;
    for (std::uint16_t i = 0; i < 20; ++i) {
        bytes += read(kBuffers + 0x10ULL * i, 1);
    }
    bytes += read(kBuffers + 0x10ULL * 21, 192);
    EXPECT_EQ(bytes, header_of(1) + pattern(200));
}

TEST_F(ReceiveTest, ABufferWithoutRoomForAHeaderFailsTheDevice) {
    activate(kMerging);
    offer_buffers(0, 1, 11);
    kick(kRx);
    EXPECT_EQ(host_.failures, 1);
    offer_buffers(1, 1, 1536);
    kick(kRx);
    network().put(no_offloads() + pattern(100));
    settle();
    EXPECT_TRUE(used(kRx).empty()) << "it waits for its reset";
    EXPECT_EQ(host_.failures, 1);
}

TEST_F(ReceiveTest, AnErrorOfTheRingFailsTheDevice) {
    activate(kMerging);
    drivers_[kRx].set_avail_index(1000);
    kick(kRx);
    EXPECT_EQ(host_.failure, describe(QueueError::AvailIndex));
}

TEST_F(ReceiveTest, ManyFramesGoThroughAFewBuffers) {
    activate(kMerging);
    std::uint16_t next = 0;
    offer_buffers(0, 16, 1536);
    next = 16;
    kick(kRx);
    unsigned received = 0;
    for (unsigned sent = 0; sent < 500; ++sent) {
        network().put(no_offloads() + pattern(60 + sent, sent));
        settle();
        for (const UsedElement& element : used(kRx)) {
            const auto head = static_cast<std::uint16_t>(element.id);
            ASSERT_EQ(read(buffer(head), element.length),
                      header_of(1) + pattern(60 + received, received));
            ++received;
            offer_buffers(static_cast<std::uint16_t>(next++ % kRing), 1, 1536);
        }
        kick(kRx);
    }
    EXPECT_EQ(received, 500U);
}

TEST_F(ReceiveTest, FramesNeedNoAllocation) {
    activate(kMerging | kFeatureGuestTso4);
    offer_buffers(0, 200, 1536);
    kick(kRx);
    network().put(no_offloads() + pattern(100));
    settle();
    const std::string frame = no_offloads() + pattern(3000);
    const test::AllocationCounter counter;
    for (int i = 0; i < 20; ++i) {
        network().put(frame);
        loop_.run_ready();
        loop_.run_ready();
    }
    EXPECT_EQ(counter.count(), 0U);
    settle();
    EXPECT_EQ(used(kRx).size(), 1U + 20 * 2);
}

TEST_F(ReceiveTest, TheOtherEndsEndTakesTheLinkDown) {
    activate(kMerging);
    offer_buffers(0, 4, 1536);
    kick(kRx);
    backend_->networks[0].network.reset();
    settle();
    EXPECT_EQ(host_.link, std::vector<bool>({false}));
    EXPECT_EQ(host_.failures, 0);
    reset();
    activate(kMerging);
    offer_buffers(0, 4, 1536);
    kick(kRx);
    EXPECT_EQ(host_.link, std::vector<bool>({false})) << "said once";
}

}  // namespace
}  // namespace cxlvm::virtio::net
