// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/virtio_function.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <array>
#include <set>
#include <vector>

#include "tests/devices/virtio_pci/function_fixture.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::virtio {
namespace {

TEST_F(FunctionTest, IsAModernDeviceOfItsType) {
    EXPECT_EQ(config(0x00, 2), 0x1af4U);
    EXPECT_EQ(config(0x02, 2), 0x1042U);
    EXPECT_EQ(config(0x08, 4), 0x018000'01U);
    EXPECT_EQ(config(0x2c, 2), 0x1af4U);
    EXPECT_GE(config(0x2e, 2), 0x40U);
    EXPECT_EQ(config(0x3d, 1), 1U) << "INTA#";
    EXPECT_EQ(config(kStatus, 2) & 0x10, 0x10U) << "a list of capabilities";
}

TEST_F(FunctionTest, HasEveryCapabilityOnceAndInOneChain) {
    std::multiset<std::uint64_t> ids;
    for (std::uint64_t at = config(kPointer, 1); at != 0; at = config(at + 1, 1)) {
        ids.insert(config(at, 1));
        ASSERT_LT(ids.size(), 20U);
    }
    EXPECT_EQ(ids, (std::multiset<std::uint64_t>{0x01, 0x09, 0x09, 0x09, 0x09, 0x09, 0x10, 0x11}));
}

TEST_F(FunctionTest, SaysWhereEachStructureLies) {
    struct Expected {
        PciCapability type;
        std::uint64_t length;
        std::uint64_t offset;
        std::uint64_t size;
    };
    const std::uint64_t config_size = device_.initial_config().size();
    for (const Expected& e : {Expected{PciCapability::Common, 16, kCommonBase, kCommonSize},
                              Expected{PciCapability::Isr, 16, kIsrBase, 1},
                              Expected{PciCapability::Device, 16, kDeviceConfigBase, config_size},
                              Expected{PciCapability::Notify, 20, kNotifyBase, 3 * 4}}) {
        const std::uint64_t at = structure(e.type);
        ASSERT_NE(at, 0U) << static_cast<int>(e.type);
        EXPECT_EQ(config(at + kPciCapLength, 1), e.length);
        EXPECT_EQ(config(at + kPciCapBar, 1), VirtioFunction::kBar);
        EXPECT_EQ(config(at + kPciCapOffset, 4), e.offset);
        EXPECT_EQ(config(at + kPciCapRegionLength, 4), e.size);
    }
    EXPECT_EQ(config(structure(PciCapability::Notify) + kPciCapNotifyMultiplier, 4), 4U);
}

TEST_F(FunctionTest, HasOneBarOf64BitsThatSizesAs32KiB) {
    set_config(kBar0, 4, 0xffff'ffff);
    set_config(kBar0 + 4, 4, 0xffff'ffff);
    EXPECT_EQ(config(kBar0, 4), 0xffff'8004U);
    EXPECT_EQ(config(kBar0 + 4, 4), 0xffff'ffffU);
    EXPECT_EQ(config(kBar0 + 8, 4), 0U);
}

TEST_F(FunctionTest, AnswersInItsBarUpToTheLastByteOfEachPiece) {
    place();
    EXPECT_EQ(get(kCommonBase + 18, 2), 3U) << "queues";
    EXPECT_EQ(get(kDeviceConfigBase, 1), 0x11U);
    EXPECT_TRUE(get(kDeviceConfigBase + device_.initial_config().size() - 1, 1));
    EXPECT_FALSE(get(kDeviceConfigBase + device_.initial_config().size(), 1));
    EXPECT_TRUE(get(VirtioFunction::kMsixTable + 4 * 16 - 4, 4)) << "four vectors";
    EXPECT_FALSE(get(VirtioFunction::kMsixTable + 4 * 16, 4));
    EXPECT_TRUE(get(VirtioFunction::kMsixPba, 8));
    EXPECT_FALSE(get(VirtioFunction::kMsixPba + 8, 8));
    EXPECT_FALSE(get(VirtioFunction::kBarSize - 1, 1));
    set_config(kCommand, 2, 0);
    EXPECT_FALSE(get(kCommonBase + 18, 2));
}

TEST_F(FunctionTest, FollowsTheStandardsInEveryBitOfItsConfigurationSpace) {
    const std::uint64_t config_size = device_.initial_config().size();
    // clang-format off
    const std::vector<RegisterSpec> table = {
        {.offset = 0x00, .width = 4, .reset = 0x1042'1af4},
        {.offset = 0x04, .width = 2, .writable = 0x0547},
        {.offset = 0x06, .width = 2, .reset = 0x0010, .w1c = 0xf900},
        {.offset = 0x08, .width = 4, .reset = 0x0180'0001},
        {.offset = 0x0c, .width = 4, .writable = 0xff},
        {.offset = 0x10, .width = 4, .reset = 0x4, .writable = 0xffff'8000},
        {.offset = 0x14, .width = 4, .writable = 0xffff'ffff},
        {.offset = 0x2c, .width = 4, .reset = 0x0040'1af4},
        {.offset = 0x34, .width = 4, .reset = 0x40},
        {.offset = 0x3c, .width = 4, .reset = 0x0100, .writable = 0xff},
        // MSI-X (PCI Express 6.0, 7.7.2).
        {.offset = 0x40, .width = 2, .reset = 0x4c11},
        {.offset = 0x42, .width = 2, .reset = 0x3, .writable = 0xc000},
        {.offset = 0x44, .width = 4, .reset = VirtioFunction::kMsixTable},
        {.offset = 0x48, .width = 4, .reset = VirtioFunction::kMsixPba},
        // Structures of virtio (virtio 1.2, 4.1.4), the window by configuration space first.
        {.offset = 0x4c, .width = 4, .reset = 0x0514'6009},
        {.offset = 0x50, .width = 4, .writable = 0xff},
        {.offset = 0x54, .width = 4, .writable = 0xffff'ffff},
        {.offset = 0x58, .width = 4, .writable = 0xffff'ffff},
        {.offset = 0x60, .width = 4, .reset = 0x0110'7009},
        {.offset = 0x68, .width = 4, .reset = kCommonBase},
        {.offset = 0x6c, .width = 4, .reset = kCommonSize},
        {.offset = 0x70, .width = 4, .reset = 0x0310'8009},
        {.offset = 0x78, .width = 4, .reset = kIsrBase},
        {.offset = 0x7c, .width = 4, .reset = 1},
        {.offset = 0x80, .width = 4, .reset = 0x0410'9009},
        {.offset = 0x88, .width = 4, .reset = kDeviceConfigBase},
        {.offset = 0x8c, .width = 4, .reset = config_size},
        {.offset = 0x90, .width = 4, .reset = 0x0214'a409},
        {.offset = 0x98, .width = 4, .reset = kNotifyBase},
        {.offset = 0x9c, .width = 4, .reset = 3 * 4},
        {.offset = 0xa0, .width = 4, .reset = 4},
        // Power management and PCI Express (PCI Express 6.0, 7.5.2 and 7.5.3).
        {.offset = 0xa4, .width = 4, .reset = 0x0003'ac01},
        {.offset = 0xac, .width = 4, .reset = 0x0092'0010},
        {.offset = 0xb0, .width = 4, .reset = 0x1000'8000},
        {.offset = 0xb6, .width = 2, .w1c = 0xf},
        {.offset = 0xd0, .width = 4, .reset = 0x10},
        {.offset = 0xd4, .width = 4, .writable = 0x10},
    };
    // clang-format on
    test::RegisterProbe probe(function_, [&] { function_.reset(); });
    probe.sweep(table);
    // The window's data, the power state, and what orders a reset are no plain registers.
    constexpr std::array kOthers = {std::uint32_t{0x5c}, std::uint32_t{0xa8}, std::uint32_t{0xb4}};
    probe.sweep(test::reserved_dwords(table, kOthers, pci::kConfigSpaceSize));
}

TEST_F(FunctionTest, TakesNoAccessOfItsBarThatLeavesAPiece) {
    place();
    const auto lies_in = [](std::uint64_t offset, std::size_t size, std::uint64_t base,
                            std::uint64_t bytes) {
        return offset >= base && offset + size <= base + bytes;
    };
    for (const std::size_t size : {1U, 2U, 4U, 8U}) {
        unsigned taken = 0;
        for (std::uint64_t offset = 0; offset < VirtioFunction::kBarSize + 8; ++offset) {
            const bool inside =
                lies_in(offset, size, 0, kTransportSize) ||
                lies_in(offset, size, VirtioFunction::kMsixTable, pci::Msix::table_size(4)) ||
                lies_in(offset, size, VirtioFunction::kMsixPba, pci::Msix::pba_size(4));
            if (get(offset, size)) {
                ++taken;
                ASSERT_TRUE(inside) << std::hex << offset << ", size " << size;
            }
        }
        EXPECT_GT(taken, 0U) << size;
    }
}

TEST_F(FunctionTest, HasADoorbellForEachQueueWhileItDecodes) {
    EXPECT_TRUE(host_.bells.empty());
    place();
    ASSERT_EQ(host_.bells.size(), 3U);
    for (std::uint64_t queue = 0; queue < 3; ++queue) {
        EXPECT_EQ(host_.bells[queue].address, Gpa(kBase + kNotifyBase + 4 * queue));
    }
    set_config(kCommand, 2, 0);
    EXPECT_TRUE(host_.bells.empty());
}

TEST_F(FunctionTest, PassesOnASignalOfADoorbellAndAWriteAlike) {
    bring_up();
    start();
    const int eventfd = host_.bells[0].eventfd;
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(::eventfd_write(eventfd, 1), 0);
        turn();
        EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0}) << round;
    }
    set(kNotifyBase, 2, 0);
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0});
}

TEST_F(FunctionTest, LeavesTheNotificationsOfAQueueToTheDevice) {
    bring_up();
    start();
    (void)device_.take_notified();
    DeviceHost& host = device_.host();
    const int eventfd = host.hand_over_kicks(0);
    ASSERT_EQ(eventfd, host_.bells[0].eventfd);
    ASSERT_EQ(::eventfd_write(eventfd, 1), 0);
    turn_often();
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{});
    set(kNotifyBase, 2, 0);
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0}) << "not by the eventfd";

    host.take_back_kicks(0);
    turn_often();
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0}) << "it has been signalled";
    // Back at once, while what listened is still being cancelled.
    EXPECT_EQ(host.hand_over_kicks(0), eventfd);
    host.take_back_kicks(0);
    turn_often();
    (void)device_.take_notified();
    ASSERT_EQ(::eventfd_write(eventfd, 1), 0);
    turn_often();
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0});
    EXPECT_EQ(host.hand_over_kicks(3), -1);
    host.take_back_kicks(3);
    EXPECT_EQ(host.hand_over_kicks(1), host_.bells[1].eventfd) << "and so it ends";
}

TEST_F(FunctionTest, SharesTheVectorOfAQueueAndTellsWhenThatChanges) {
    bring_up();
    DeviceHost& host = device_.host();
    EXPECT_EQ(host.share_notifications(0), -1) << "MSI-X is off";
    EXPECT_EQ(device_.interrupt_changes, 0U);
    enable_msix(true);
    EXPECT_EQ(device_.interrupt_changes, 1U);
    EXPECT_EQ(host.share_notifications(0), pci::FakeMsiVector::kShared);
    EXPECT_EQ(host.share_notifications(1), -1) << "it has no vector";
    EXPECT_EQ(host.share_notifications(3), -1);
    set_common(Common::QueueSelect, 2, 0);
    set_common(Common::QueueMsixVector, 2, kNoVector);
    EXPECT_EQ(device_.interrupt_changes, 2U);
    EXPECT_EQ(host.share_notifications(0), -1);
    enable_msix(false);
    EXPECT_EQ(device_.interrupt_changes, 3U);
}

TEST_F(FunctionTest, SendsTheMessagesOfItsVectors) {
    bring_up();
    program(1, 0xfee0'1000);
    enable_msix(true);
    device_.host().notify_queue(0);
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
    EXPECT_EQ(vectors_[1].message()->address, 0xfee0'1000U);
    EXPECT_FALSE(pin_.level());
}

TEST_F(FunctionTest, KeepsAnInterruptPendingWhileItsVectorIsMasked) {
    bring_up();
    enable_msix(true);
    device_.host().notify_queue(0);
    EXPECT_EQ(vectors_[1].take_sent(), 0U);
    EXPECT_EQ(get(VirtioFunction::kMsixPba, 8), 0x2U);
    program(1, 0xfee0'1000);
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
}

TEST_F(FunctionTest, HoldsItsPinUntilTheStatusIsReadWhileMsixIsOff) {
    bring_up();
    device_.host().notify_queue(0);
    EXPECT_TRUE(pin_.level());
    EXPECT_EQ(config(kStatus, 2) & 0x8, 0x8U);
    EXPECT_EQ(get(kIsrBase, 1), 1U);
    EXPECT_FALSE(pin_.level());
}

TEST_F(FunctionTest, LetsThePinGoWhenMsixIsEnabledAndTakesItAgain) {
    bring_up();
    device_.host().notify_queue(0);
    ASSERT_TRUE(pin_.level());
    enable_msix(true);
    EXPECT_FALSE(pin_.level());
    enable_msix(false);
    EXPECT_TRUE(pin_.level());
    set_config(kCommand, 2, kDecodeAndMaster | 0x400);
    EXPECT_FALSE(pin_.level()) << "Interrupt Disable";
}

TEST_F(FunctionTest, ResetsTheDeviceWithTheFunction) {
    bring_up();
    function_.reset();
    EXPECT_EQ(device_.resets, 1U);
    EXPECT_EQ(config(kCommand, 2), 0U);
    EXPECT_FALSE(pin_.level());
    place();
    EXPECT_EQ(get(kCommonBase + static_cast<std::uint64_t>(Common::DeviceStatus), 1), 0U);
}

TEST_F(FunctionTest, ResetsTheDeviceByAFunctionLevelReset) {
    bring_up();
    enable_msix(true);
    const std::uint64_t express = capability(0x10, 0, 0x10);
    ASSERT_NE(config(express + 4, 4) & 0x1000'0000, 0U) << "capable of it";
    const unsigned resets = device_.resets;
    set_config(express + 8, 2, 0x8000);
    EXPECT_EQ(device_.resets, resets + 1);
    EXPECT_EQ(config(kCommand, 2), 0U);
    EXPECT_EQ(config(msix_ + 2, 2) & 0x8000, 0U);
    EXPECT_FALSE(get(kCommonBase, 4).has_value()) << "the BAR answers to nobody";
    place();
    EXPECT_EQ(get(kCommonBase + static_cast<std::uint64_t>(Common::DeviceStatus), 1), 0U);
    bring_up();
}

TEST_F(FunctionTest, StopsWhenTheDeviceHasGivenItsQueuesBack) {
    bring_up();
    start();
    device_.resets_at_once = false;
    started_ = false;
    function_.stop(stopped_task_);
    for (int i = 0; i < 10; ++i) {
        turn();
    }
    EXPECT_FALSE(stopped_);
    device_.host().reset_done();
    await_stopped();
    EXPECT_TRUE(stopped_);
}

TEST_F(FunctionTest, StopsWithoutADriver) {
    start();
    stop();
    EXPECT_EQ(device_.resets, 0U);
}

// --- The window in configuration space (4.1.4.9) ---

class WindowTest : public FunctionTest {
  protected:
    void select(std::uint8_t bar, std::uint32_t offset, std::uint32_t length) {
        set_config(window_ + kPciCapBar, 1, bar);
        set_config(window_ + kPciCapOffset, 4, offset);
        set_config(window_ + kPciCapRegionLength, 4, length);
    }
    std::uint64_t data(std::size_t size) { return config(window_ + kPciCapAccessData, size); }
    void set_data(std::size_t size, std::uint64_t value) {
        set_config(window_ + kPciCapAccessData, size, value);
    }
    const std::uint64_t window_ = structure(PciCapability::PciAccess);
};

TEST_F(WindowTest, ReadsAndWritesRegistersThatAreMappedNowhere) {
    select(0, 18, 2);
    EXPECT_EQ(data(2), 3U);
    select(0, 20, 1);
    set_data(1, 1);
    set_data(1, 3);
    EXPECT_EQ(data(1), 3U);
    select(0, kDeviceConfigBase, 4);
    EXPECT_EQ(data(4), 0x4433'2211U);
}

TEST_F(WindowTest, NotifiesAQueue) {
    bring_up();
    select(0, kNotifyBase, 2);
    set_data(2, 0);
    EXPECT_EQ(device_.take_notified(), std::vector<std::uint16_t>{0});
}

TEST_F(WindowTest, ReadsAllOnesAndWritesNothingWhereItLeadsNowhere) {
    struct Bad {
        std::uint8_t bar;
        std::uint32_t offset;
        std::uint32_t length;
    };
    for (const Bad& bad :
         {Bad{1, 18, 2}, Bad{0, 18, 0}, Bad{0, 18, 3}, Bad{0, 16, 8}, Bad{0, 17, 2},
          Bad{0, 0x4000, 4}, Bad{0, 0xffff'fffc, 4}, Bad{0, 0x3ffe, 4}, Bad{0, 20, 2}}) {
        select(bad.bar, bad.offset, bad.length);
        EXPECT_EQ(data(4), 0xffff'ffffU) << bad.offset << " " << bad.length;
        set_data(4, 0x0101'0101);
    }
    select(0, 20, 1);
    EXPECT_EQ(data(1), 0U) << "the status";
}

TEST_F(WindowTest, DoesNothingForAccessesBesideItsData) {
    bring_up();
    select(0, kIsrBase, 1);
    device_.host().notify_queue(0);
    (void)config(window_ + kPciCapRegionLength, 4);
    EXPECT_TRUE(pin_.level());
    EXPECT_EQ(data(1), 1U);
    EXPECT_FALSE(pin_.level());
}

}  // namespace
}  // namespace cxlvm::virtio
