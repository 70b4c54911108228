// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/split_queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/support/allocation_counter.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {
namespace {

using test::kHighBase;
using test::kHoleBase;

constexpr std::uint16_t kN = kDescriptorNext;
constexpr std::uint16_t kW = kDescriptorWrite;
constexpr std::uint16_t kI = kDescriptorIndirect;
constexpr std::uint64_t kData = 0x1'0000;
constexpr std::uint64_t kTable = 0x2'0000;

class SplitQueueTest : public testing::Test {
  protected:
    void start(bool event_idx = false, bool indirect = true) {
        ASSERT_TRUE(queue_.start(driver_.setup(event_idx, indirect)));
    }
    /// A chain of descriptors 0, 1, ... which `elements` fills, offered; what comes of it.
    QueueError error_of(const std::vector<Descriptor>& elements) {
        std::uint16_t index = 0;
        for (const Descriptor& element : elements) {
            driver_.describe(index++, element);
        }
        start();
        driver_.make_available(0);
        EXPECT_FALSE(queue_.pop().has_value());
        return queue_.error();
    }
    void table(const std::vector<Descriptor>& elements, std::uint64_t address = kTable) {
        for (const Descriptor& element : elements) {
            driver_.store(address, element);
            address += sizeof(element);
        }
    }
    [[nodiscard]] const std::byte* host(std::uint64_t address) const {
        return memory_.span(Gpa(address), 1).value().data();
    }

    GuestMemory memory_{test::two_blocks()};
    SplitQueue queue_{memory_, {.max_size = 8}};
    test::VirtioDriver driver_{memory_, 8};
};

TEST_F(SplitQueueTest, GivesAChainAsHostMemorySplitInReadableAndWritable) {
    driver_.describe(5, {kData, 16, kN, 1});
    driver_.describe(1, {kHighBase, 32, kN, 7});
    driver_.describe(7, {kData + 0x100, 512, kN | kW, 0});
    driver_.describe(0, {kData + 0x1000, 1, kW, 0});
    start();
    EXPECT_FALSE(queue_.pop().has_value());
    driver_.make_available(5);
    const auto chain = queue_.pop();
    ASSERT_TRUE(chain.has_value());
    EXPECT_EQ(chain->head, 5);
    ASSERT_EQ(chain->readable.size(), 2U);
    EXPECT_EQ(chain->readable[0].iov_base, host(kData));
    EXPECT_EQ(chain->readable[0].iov_len, 16U);
    EXPECT_EQ(chain->readable[1].iov_base, host(kHighBase));
    EXPECT_EQ(chain->readable_bytes, 48U);
    ASSERT_EQ(chain->writable.size(), 2U);
    EXPECT_EQ(chain->writable[0].iov_base, host(kData + 0x100));
    EXPECT_EQ(chain->writable[1].iov_len, 1U);
    EXPECT_EQ(chain->writable_bytes, 513U);
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::None);
}

TEST_F(SplitQueueTest, TellsTheDriverWhatWasUsedInTheOrderOfUse) {
    driver_.describe(0, {kData, 16, kW, 0});
    driver_.describe(1, {kData, 16, kW, 0});
    start();
    driver_.make_available(0);
    driver_.make_available(1);
    ASSERT_TRUE(queue_.pop().has_value());
    ASSERT_TRUE(queue_.pop().has_value());
    EXPECT_EQ(queue_.in_flight(), 2);
    queue_.push(1, 16);
    auto used = driver_.take_used();
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(used->id, 1U);
    EXPECT_EQ(used->length, 16U);
    queue_.push(0, 0);
    used = driver_.take_used();
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(used->id, 0U);
    EXPECT_EQ(queue_.in_flight(), 0);
}

TEST_F(SplitQueueTest, ShowsChainsThatWerePutOnlyWhenTheyArePublished) {
    driver_.describe(0, {kData, 16, kW, 0});
    driver_.describe(1, {kData, 16, kW, 0});
    start();
    driver_.make_available(0);
    driver_.make_available(1);
    ASSERT_TRUE(queue_.pop().has_value());
    ASSERT_TRUE(queue_.pop().has_value());
    queue_.put(0, 1);
    queue_.put(1, 2);
    EXPECT_EQ(driver_.used_index(), 0);
    queue_.publish();
    EXPECT_EQ(driver_.used_index(), 2);
}

TEST_F(SplitQueueTest, ChainsInFlightKeepTheirMemoryWhileOthersArePopped) {
    for (std::uint16_t i = 0; i < 8; ++i) {
        driver_.describe(i, {kData + i * 16ULL, 16, 0, 0});
        driver_.offer(i);
    }
    start();
    driver_.show();
    std::vector<Chain> chains;
    while (auto chain = queue_.pop()) {
        chains.push_back(*chain);
    }
    ASSERT_EQ(chains.size(), 8U);
    for (const Chain& chain : chains) {
        EXPECT_EQ(chain.readable[0].iov_base, host(kData + chain.head * 16ULL));
    }
}

TEST_F(SplitQueueTest, FollowsAnIndirectTableBehindDirectDescriptors) {
    table({{kData, 8, kN, 2}, {0, 0, 0, 0}, {kData + 8, 4, kW, 0}});
    driver_.describe(0, {kData, 2, kN, 1});
    driver_.describe(1, {kTable, 48, kI | kW, 0});  // 2.7.5.3.2: that write flag is ignored
    start();
    driver_.make_available(0);
    const auto chain = queue_.pop();
    ASSERT_TRUE(chain.has_value());
    EXPECT_EQ(chain->readable_bytes, 10U);
    EXPECT_EQ(chain->writable_bytes, 4U);
}

TEST_F(SplitQueueTest, TakesATableThatIsNotAlignedAndLongerThanTheQueue) {
    // Every fourth one is the chain's; the others are never visited.
    std::vector<Descriptor> elements(32, Descriptor{~0ULL, ~0U, kI, 0});
    for (std::size_t i = 0; i < elements.size(); i += 4) {
        const bool last = i + 4 == elements.size();
        elements[i] = {kData, 1, last ? std::uint16_t{0} : kN, static_cast<std::uint16_t>(i + 4)};
    }
    table(elements, kTable + 3);
    driver_.describe(0, {kTable + 3, 32 * 16, kI, 0});
    start();
    driver_.make_available(0);
    const auto chain = queue_.pop();
    ASSERT_TRUE(chain.has_value()) << describe(queue_.error());
    EXPECT_EQ(chain->readable.size(), 8U);
}

TEST_F(SplitQueueTest, RefusesIndirectTablesWhereNoneMayBe) {
    table({{kTable + 0x100, 16, kI, 0}});
    table({{kData, 16, 0, 0}}, kTable + 0x100);
    EXPECT_EQ(error_of({{kTable, 16, kI, 0}}), QueueError::Indirect) << "in an indirect table";
    EXPECT_EQ(error_of({{kTable + 0x100, 16, kI | kN, 1}, {kData, 1, 0, 0}}), QueueError::Indirect)
        << "with NEXT";
    start(false, false);
    driver_.describe(0, {kTable + 0x100, 16, kI, 0});
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::Indirect) << "not negotiated";
}

TEST_F(SplitQueueTest, RefusesIndirectTablesOfAWrongLengthOrPlace) {
    table({{kData, 16, 0, 0}});
    EXPECT_EQ(error_of({{kTable, 0, kI, 0}}), QueueError::Indirect);
    EXPECT_EQ(error_of({{kTable, 15, kI, 0}}), QueueError::Indirect);
    EXPECT_EQ(error_of({{kTable, 17, kI, 0}}), QueueError::Indirect);
    EXPECT_EQ(error_of({{kTable, 0xffff'fff0, kI, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{kHoleBase, 16, kI, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{kHoleBase - 16, 32, kI, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{~0ULL - 15, 16, kI, 0}}), QueueError::Address);
}

TEST_F(SplitQueueTest, FindsLoops) {
    EXPECT_EQ(error_of({{kData, 1, kN, 0}}), QueueError::TooLong);
    EXPECT_EQ(error_of({{kData, 1, kN, 1}, {kData, 1, kN, 0}}), QueueError::TooLong);
    EXPECT_EQ(error_of({{kData, 0, kN, 0}}), QueueError::TooLong) << "without a byte";
    table({{kData, 0, kN, 1}, {kData, 0, kN, 0}});
    EXPECT_EQ(error_of({{kTable, 32, kI, 0}}), QueueError::TooLong);
}

TEST_F(SplitQueueTest, TakesAChainOfAllDescriptorsAndNoMoreSegmentsThanItsLimit) {
    for (std::uint16_t i = 0; i < 8; ++i) {
        driver_.describe(i, {kData, 1, static_cast<std::uint16_t>(i < 7 ? kN : 0),
                             static_cast<std::uint16_t>(i + 1)});
    }
    start();
    driver_.make_available(0);
    const auto chain = queue_.pop();
    ASSERT_TRUE(chain.has_value());
    EXPECT_EQ(chain->readable.size(), 8U);

    SplitQueue narrow(memory_, {.max_size = 8, .max_segments = 7});
    ASSERT_TRUE(narrow.start(driver_.setup()));
    EXPECT_FALSE(narrow.pop().has_value());
    EXPECT_EQ(narrow.error(), QueueError::TooLong);
}

TEST_F(SplitQueueTest, RefusesNumbersPastTheEndOfTheirTable) {
    EXPECT_EQ(error_of({{kData, 1, kN, 8}}), QueueError::DescriptorIndex);
    EXPECT_EQ(error_of({{kData, 1, kN, 0xffff}}), QueueError::DescriptorIndex);
    table({{kData, 1, kN, 2}, {kData, 1, 0, 0}});
    EXPECT_EQ(error_of({{kTable, 32, kI, 0}}), QueueError::DescriptorIndex);
    start();
    test::VirtioDriver driver(memory_, 8);
    driver.make_available(8);
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::DescriptorIndex);
}

TEST_F(SplitQueueTest, RefusesWhatIsNotRamFromEndToEnd) {
    EXPECT_EQ(error_of({{kHoleBase, 1, 0, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{kHoleBase - 1, 2, 0, 0}}), QueueError::Address) << "into the hole";
    EXPECT_EQ(error_of({{kHoleBase - 1, kHighBase - kHoleBase + 2, 0, 0}}), QueueError::Address)
        << "across the hole";
    EXPECT_EQ(error_of({{kHighBase - 1, 2, kW, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{~0ULL, 1, 0, 0}}), QueueError::Address);
    EXPECT_EQ(error_of({{~0ULL, 2, 0, 0}}), QueueError::Address) << "past the top";
    EXPECT_EQ(error_of({{0, 0xffff'ffff, 0, 0}}), QueueError::Address);
}

TEST_F(SplitQueueTest, TakesTheLastByteOfABlock) {
    driver_.describe(0, {kHoleBase - 1, 1, kN, 1});
    driver_.describe(1, {kHighBase + 0x7'ffff, 1, kW, 0});
    start();
    driver_.make_available(0);
    EXPECT_TRUE(queue_.pop().has_value());
}

TEST_F(SplitQueueTest, PassesOverElementsWithoutBytesAndTheirAddresses) {
    driver_.describe(0, {~0ULL, 0, kN, 1});
    driver_.describe(1, {kData, 4, kN | kW, 2});
    driver_.describe(2, {kHoleBase, 0, kW, 0});
    driver_.describe(3, {0, 0, 0, 0});
    start();
    driver_.make_available(0);
    driver_.make_available(3);
    auto chain = queue_.pop();
    ASSERT_TRUE(chain.has_value());
    EXPECT_TRUE(chain->readable.empty());
    EXPECT_EQ(chain->writable.size(), 1U);
    chain = queue_.pop();
    ASSERT_TRUE(chain.has_value());
    EXPECT_TRUE(chain->readable.empty() && chain->writable.empty());
}

TEST_F(SplitQueueTest, RefusesReadableElementsBehindWritableOnes) {
    EXPECT_EQ(error_of({{kData, 4, kN | kW, 1}, {kData, 4, 0, 0}}), QueueError::Order);
    EXPECT_EQ(error_of({{kData, 0, kN | kW, 1}, {kData, 4, 0, 0}}), QueueError::Order);
}

TEST(SplitQueue, RefusesChainsOfMoreThanFourGigabytes) {
    constexpr std::uint32_t kSegment = 0x40'0000;
    constexpr std::uint16_t kFull = kMaxChainBytes / kSegment;
    GuestMemory memory({.size = 0x80'0000, .numa_node = {}, .hole_base = Gpa(0x80'0000)});
    test::VirtioDriver driver(memory, 4);
    SplitQueue queue(memory, {.max_size = 4, .max_segments = kFull + 1});
    for (std::uint16_t i = 0; i <= kFull; ++i) {
        const Descriptor element{0x40'0000, i < kFull ? kSegment : 1, i < kFull - 1 ? kN : kW,
                                 static_cast<std::uint16_t>(i + 1)};
        driver.store(kTable + i * sizeof(Descriptor), element);
    }
    driver.describe(0, {kTable, (kFull + 1) * sizeof(Descriptor), kI, 0});
    ASSERT_TRUE(queue.start(driver.setup()));
    driver.make_available(0);
    const auto chain = queue.pop();
    ASSERT_TRUE(chain.has_value()) << describe(queue.error());
    EXPECT_EQ(chain->readable_bytes + chain->writable_bytes, kMaxChainBytes);

    const Descriptor last{0x40'0000, kSegment, kN | kW, kFull};
    driver.store(kTable + (kFull - 1) * sizeof(Descriptor), last);
    ASSERT_TRUE(queue.start(driver.setup()));
    EXPECT_FALSE(queue.pop().has_value());
    EXPECT_EQ(queue.error(), QueueError::TooManyBytes);
}

TEST_F(SplitQueueTest, RefusesJumpsOfTheAvailableIndex) {
    driver_.describe(0, {kData, 1, 0, 0});
    start();
    driver_.set_avail_index(9);
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::AvailIndex);
    start();
    driver_.set_avail_index(0xffff);
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::AvailIndex) << "backwards";
}

TEST_F(SplitQueueTest, RefusesAHeadThatIsInFlight) {
    driver_.describe(0, {kData, 1, 0, 0});
    start();
    driver_.make_available(0);
    driver_.make_available(0);
    EXPECT_TRUE(queue_.pop().has_value());
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_EQ(queue_.error(), QueueError::HeadInFlight);
    queue_.push(0, 0);  // what is in flight can still be given back
    EXPECT_EQ(driver_.used_index(), 1);
}

TEST_F(SplitQueueTest, GivesNothingAfterAnErrorUntilItIsStartedAnew) {
    EXPECT_EQ(error_of({{kHoleBase, 1, 0, 0}}), QueueError::Address);
    driver_.describe(0, {kData, 1, 0, 0});
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_FALSE(queue_.enable_kicks());
    start();
    EXPECT_TRUE(queue_.pop().has_value());
    queue_.stop();
    EXPECT_FALSE(queue_.running());
    EXPECT_FALSE(queue_.pop().has_value());
    EXPECT_FALSE(queue_.should_notify());
    EXPECT_EQ(queue_.in_flight(), 0);
}

TEST_F(SplitQueueTest, RefusesAreasThatAreMisalignedOrNotInRam) {
    const QueueSetup good = driver_.setup();
    ASSERT_TRUE(queue_.valid(good));
    const auto with = [&](auto change) {
        QueueSetup setup = good;
        change(setup);
        return queue_.valid(setup) || queue_.start(setup) || queue_.running();
    };
    for (const std::uint16_t size : std::array<std::uint16_t, 5>{0, 3, 16, 32768, 65535}) {
        EXPECT_FALSE(with([&](auto& setup) { setup.size = size; })) << size;
    }
    EXPECT_FALSE(with([](auto& setup) { setup.descriptors = Gpa(0x1008); }));
    EXPECT_FALSE(with([](auto& setup) { setup.driver = Gpa(0x6001); }));
    EXPECT_FALSE(with([](auto& setup) { setup.device = Gpa(0x8002); }));
    EXPECT_FALSE(with([](auto& setup) { setup.descriptors = Gpa(kHoleBase - 112); }));
    EXPECT_FALSE(with([](auto& setup) { setup.driver = Gpa(kHoleBase - 20); }));
    EXPECT_FALSE(with([](auto& setup) { setup.device = Gpa(kHoleBase - 68); }));
    EXPECT_FALSE(with([](auto& setup) { setup.device = Gpa(~0ULL - 3); }));
    EXPECT_TRUE(with([](auto& setup) {
        setup.descriptors = Gpa(kHoleBase - 128);
        setup.driver = Gpa(kHighBase);
        setup.device = Gpa(kHighBase + 0x8'0000 - 72);  // 70 bytes, aligned
    }));
}

TEST_F(SplitQueueTest, IndexesWrapAroundAtSixteenBits) {
    driver_.describe(0, {kData, 1, kW, 0});
    driver_.describe(1, {kData, 1, kW, 0});
    start(true);
    for (std::uint32_t i = 0; i < 70'000; ++i) {
        const auto head = static_cast<std::uint16_t>(i % 2);
        driver_.set_used_event(driver_.last_used());
        driver_.make_available(head);
        const auto chain = queue_.pop();
        ASSERT_TRUE(chain.has_value()) << i;
        ASSERT_EQ(chain->head, head);
        queue_.push(head, i);
        ASSERT_TRUE(queue_.should_notify()) << i;
        const auto used = driver_.take_used();
        ASSERT_TRUE(used.has_value());
        ASSERT_EQ(used->length, i);
        ASSERT_FALSE(queue_.enable_kicks());
        ASSERT_EQ(driver_.avail_event(), driver_.avail_index());
    }
}

TEST_F(SplitQueueTest, InterruptsAsTheFlagsSayWithoutEventIdx) {
    driver_.describe(0, {kData, 1, kW, 0});
    start();
    const auto round = [&] {
        driver_.make_available(0);
        EXPECT_TRUE(queue_.pop().has_value());
        queue_.push(0, 1);
        return queue_.should_notify();
    };
    EXPECT_TRUE(round());
    EXPECT_FALSE(queue_.should_notify()) << "nothing new";
    driver_.set_avail_flags(kAvailNoInterrupt);
    EXPECT_FALSE(round());
    driver_.set_avail_flags(0);
    EXPECT_FALSE(queue_.should_notify()) << "it was not wanted then";
    EXPECT_TRUE(round());
}

TEST_F(SplitQueueTest, InterruptsOnceAnIndexIsPassedWithEventIdx) {
    for (std::uint16_t i = 0; i < 4; ++i) {
        driver_.describe(i, {kData, 1, kW, 0});
        driver_.offer(i);
    }
    start(true);
    driver_.show();
    driver_.set_avail_flags(kAvailNoInterrupt);  // means nothing with EVENT_IDX (2.7.7.2)
    driver_.set_used_event(2);
    for (std::uint16_t i = 0; i < 4; ++i) {
        ASSERT_TRUE(queue_.pop().has_value());
    }
    queue_.push(0, 1);
    queue_.push(1, 1);
    EXPECT_FALSE(queue_.should_notify());
    queue_.push(2, 1);
    EXPECT_TRUE(queue_.should_notify());
    queue_.push(3, 1);
    EXPECT_FALSE(queue_.should_notify()) << "it has been passed already";
}

TEST_F(SplitQueueTest, AsksForKicksByFlagWithoutEventIdx) {
    start();
    queue_.disable_kicks();
    EXPECT_EQ(driver_.used_flags(), kUsedNoNotify);
    driver_.describe(0, {kData, 1, kW, 0});
    driver_.make_available(0);
    EXPECT_TRUE(queue_.enable_kicks()) << "the chain came while nobody was to be told";
    EXPECT_EQ(driver_.used_flags(), 0);
    ASSERT_TRUE(queue_.pop().has_value());
    EXPECT_FALSE(queue_.enable_kicks());
}

TEST_F(SplitQueueTest, AsksForKicksByIndexWithEventIdx) {
    start(true);
    driver_.describe(0, {kData, 1, kW, 0});
    driver_.make_available(0);
    EXPECT_TRUE(queue_.enable_kicks());
    EXPECT_EQ(driver_.avail_event(), 0);
    ASSERT_TRUE(queue_.pop().has_value());
    EXPECT_FALSE(queue_.enable_kicks());
    EXPECT_EQ(driver_.avail_event(), 1);
    queue_.disable_kicks();
    EXPECT_EQ(driver_.used_flags(), 0) << "2.7.10.2";
}

TEST(SplitQueue, KnowsWhenAnIndexPassedAnEvent) {
    static_assert(passed_event(0, 1, 0));
    static_assert(!passed_event(1, 1, 0));
    static_assert(!passed_event(0, 0, 0));
    static_assert(passed_event(0xffff, 0, 0xffff));
    static_assert(passed_event(0xfffe, 2, 0xfffe));
    static_assert(passed_event(1, 2, 0xfffe));
    static_assert(!passed_event(2, 2, 0xfffe));
    static_assert(!passed_event(0xfffd, 2, 0xfffe));
    // Against the plain meaning, in numbers that do not wrap.
    for (std::uint32_t before = 0xfff0; before < 0x10010; ++before) {
        for (std::uint32_t after = before; after < before + 16; ++after) {
            for (std::uint32_t event = 0xffe0; event < 0x10030; ++event) {
                ASSERT_EQ(passed_event(static_cast<std::uint16_t>(event),
                                       static_cast<std::uint16_t>(after),
                                       static_cast<std::uint16_t>(before)),
                          before <= event && event < after)
                    << before << " " << event << " " << after;
            }
        }
    }
}

TEST_F(SplitQueueTest, AllocatesNothingAfterConstruction) {
    table({{kData, 8, kN, 1}, {kData + 8, 4, kW, 0}});
    driver_.describe(0, {kTable, 32, kI, 0});
    const test::AllocationCounter counter;
    ASSERT_TRUE(queue_.start(driver_.setup(true)));
    for (int i = 0; i < 100; ++i) {
        driver_.make_available(0);
        queue_.disable_kicks();
        ASSERT_TRUE(queue_.pop().has_value());
        queue_.push(0, 4);
        (void)queue_.should_notify();
        (void)queue_.enable_kicks();
    }
    queue_.stop();
    EXPECT_EQ(counter.count(), 0U);
}

}  // namespace
}  // namespace cxlvm::virtio
