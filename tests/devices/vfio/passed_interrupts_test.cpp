// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/devices/vfio/passed_function_fixture.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::vfio {
namespace {

using test::FakeVector;
using test::Intx;
using test::kBase;
using test::kCommandMaster;
using test::kCommandMemory;
using test::kExpress;
using test::kMsi;
using test::kMsix;
using test::kVendor;
using test::Msi;
using test::Msix;
using testing::AllOf;
using testing::HasSubstr;

using PassedInterruptsTest = test::PassedFunctionTest;

TEST_F(PassedInterruptsTest, HasItsPinUntilMessagesAreEnabled) {
    make();
    EXPECT_EQ(enabled(Intx), std::vector<int>{7});
    EXPECT_EQ(kernel_.irq_calls.back().eventfds, std::vector<int>{8})
        << "served: it may come again";
    set_config(kMsi + 2, 2, 2 << 4 | 1);
    EXPECT_TRUE(enabled(Intx).empty());
    EXPECT_EQ(enabled(Msi), (std::vector<int>{100, 101, 102, 103}));
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_TRUE(enabled(Msi).empty());
    EXPECT_EQ(enabled(Msix), (std::vector<int>{100, 101, 102, 103, 104}));
    const std::size_t calls = kernel_.irq_calls.size();
    set_config(kMsix + 2, 2, 0xc000);
    EXPECT_EQ(kernel_.irq_calls.size(), calls) << "a mask is no change";
    set_config(kMsix + 2, 2, 0);
    set_config(kMsi + 2, 2, 0);
    EXPECT_EQ(enabled(Intx), std::vector<int>{7});
}

TEST_F(PassedInterruptsTest, EnablesAsManyMessagesAsTheGuestAllocates) {
    make();
    set_config(kMsi + 2, 2, 1 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 2U);
    set_config(kMsi + 2, 2, 7 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 4U) << "there are no more than there are";
}

TEST_F(PassedInterruptsTest, RoutesTheMessagesOfItsVectors) {
    make();
    place();
    program_entry_0();
    EXPECT_FALSE(vectors_[0].message());
    set_config(kMsix + 2, 2, 0x8000);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    EXPECT_EQ(vectors_[0].message()->data, 0x41U);
    EXPECT_FALSE(vectors_[1].message()) << "masked";
    set_config(4, 2, kCommandMemory);
    EXPECT_FALSE(vectors_[0].message()) << "without Bus Master Enable";
}

TEST_F(PassedInterruptsTest, KeepsMessagesOfMsixWhenMsiEndsBesideIt) {
    make();
    place();
    program_entry_0();
    set_config(kMsi + 4, 4, 0xfee0'2000);
    set_config(kMsi + 2, 2, 1);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'2000U);
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    set_config(kMsi + 2, 2, 0);
    ASSERT_TRUE(vectors_[0].message()) << "MSI-X has its message still";
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    set_config(kMsi + 2, 2, 1);
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U) << "MSI-X comes first";
    set_config(kMsix + 2, 2, 0);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'2000U);
    set_config(kMsi + 2, 2, 0);
    EXPECT_FALSE(vectors_[0].message());
}

TEST_F(PassedInterruptsTest, RoutesAVectorOfMsiAndMsixOnceAtATime) {
    make();
    place();
    program_entry_0();
    set_config(kMsi + 2, 2, 1);
    set_config(kMsix + 2, 2, 0x8000);
    constexpr int kTurns = 500;
    {
        const std::jthread other([&] {
            for (int i = 0; i < kTurns; ++i) {
                set_config(kMsi + 2, 2, static_cast<unsigned>(i) % 2);
            }
        });
        for (std::uint32_t i = 0; i < kTurns; ++i) {
            EXPECT_EQ(cxlvm::test::write_value(space_, kBase + 0x200c, i % 2), IoStatus::Ok);
        }
    }
    EXPECT_FALSE(vectors_[0].together);
}

TEST_F(PassedInterruptsTest, UsesFewerVectorsWhereTheHostHasFewer) {
    make();
    kernel_.message_limit = 3;
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_EQ(enabled(Msix).size(), 3U);
    set_config(kMsix + 2, 2, 0);
    set_config(kMsi + 2, 2, 2 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 2U) << "a power of two";
}

TEST_F(PassedInterruptsTest, LivesWithoutInterruptsThatTheHostRefuses) {
    make();
    for (const int error : {EINVAL, EBUSY, ENOMEM, ENOSPC, EPERM, EFAULT}) {
        kernel_.answers[VFIO_DEVICE_SET_IRQS] = -error;
        set_config(kMsix + 2, 2, 0x8000);
        const std::size_t calls = kernel_.calls.size();
        set_config(kVendor + 4, 4, 1);
        EXPECT_EQ(kernel_.calls.size(), calls) << "not tried again until something changes";
        kernel_.answers.clear();
        set_config(kMsix + 2, 2, 0);
        EXPECT_EQ(enabled(Intx), std::vector<int>{7});
    }
}

TEST_F(PassedInterruptsTest, NamesTheSharedLineThatKeepsItFromItsPin) {
    kernel_.answers[VFIO_DEVICE_SET_IRQS] = -EBUSY;
    make();
    EXPECT_THAT(logged(), AllOf(HasSubstr("INTx"), HasSubstr("/proc/interrupts")));
}

TEST_F(PassedInterruptsTest, ResetsTheDeviceWhenTheGuestStartsAFunctionLevelReset) {
    make();
    place();
    EXPECT_EQ(config(kExpress + 4, 4) >> 28 & 1, 1U) << "it can be reset";
    kernel_.writes.clear();
    set_config(kExpress + 8, 2, 0x8010);
    EXPECT_EQ(kernel_.resets, 1);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(kExpress + 8), 0x0010U) << "not by the register";
    EXPECT_EQ(config(4, 2), 0U);
    EXPECT_EQ(config(0x10, 4), 0U);
    std::uint32_t value = 0;
    EXPECT_EQ(cxlvm::test::read_value(space_, kBase, value), IoStatus::Unmapped);
    set_config(kExpress + 9, 1, 0x80);
    EXPECT_EQ(kernel_.resets, 2);
    set_config(kExpress + 8, 1, 0xff);
    EXPECT_EQ(kernel_.resets, 2);
}

TEST_F(PassedInterruptsTest, ForgetsInAResetWhatWasSignalledBefore) {
    make();
    const auto signal = [&] {
        for (FakeVector& vector : vectors_) {
            vector.waiting = true;
        }
    };
    signal();
    kernel_.on_reset = signal;
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_TRUE(std::ranges::none_of(vectors_, &FakeVector::waiting));
}

TEST_F(PassedInterruptsTest, ForgetsWhatWasSignalledInAResetThatTheHostHasNot) {
    kernel_.device_flags = VFIO_DEVICE_FLAGS_PCI;
    make();
    vectors_[1].waiting = true;
    function_->reset();
    EXPECT_FALSE(vectors_[1].waiting);
}

TEST_F(PassedInterruptsTest, HasNoFunctionLevelResetThatTheHostHasNot) {
    kernel_.device_flags = VFIO_DEVICE_FLAGS_PCI;
    kernel_.set_config<std::uint32_t>(kExpress + 4, 0x1000'8fe0);
    make();
    EXPECT_EQ(config(kExpress + 4, 4) >> 28 & 1, 0U);
    EXPECT_THAT(logged(), HasSubstr("passed: the host cannot reset it"));
    set_config(kExpress + 8, 2, 0x8000);
    function_->reset();
    EXPECT_EQ(kernel_.resets, 0);
}

TEST_F(PassedInterruptsTest, TriesAResetAgainThatTheHostIsTooBusyFor) {
    make();
    kernel_.answers[VFIO_DEVICE_RESET] = -EAGAIN;
    kernel_.calls.clear();
    function_->reset();
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 10);
    kernel_.answers[VFIO_DEVICE_RESET] = -EIO;
    kernel_.calls.clear();
    function_->reset();
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1);
}

TEST_F(PassedInterruptsTest, BeginsNoResetOnceTheyHaveEnded) {
    make();
    kernel_.answers[VFIO_DEVICE_RESET] = -EAGAIN;
    kernel_.on_reset = [this] { function_->end_resets(); };
    kernel_.calls.clear();
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1)
        << "not tried again";
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1);
}

TEST_F(PassedInterruptsTest, SendsNothingAndReachesNothingOnceStopped) {
    make();
    place();
    set_config(kMsix + 2, 2, 0x8000);
    function_->stop();
    EXPECT_TRUE(enabled(Msix).empty());
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003U);
    set_config(4, 2, kCommandMaster);
    set_config(kMsix + 2, 2, 0);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003U);
}

}  // namespace
}  // namespace cxlvm::vfio
