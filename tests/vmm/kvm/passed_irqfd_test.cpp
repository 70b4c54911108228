// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/passed_irqfd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/error.hpp"
#include "tests/vmm/support/interrupted_guest.hpp"
#include "vmm/kvm/kvm_vfio.hpp"

namespace cxlvm {
namespace {

/// To the local APIC with id 0, fixed, edge (Intel SDM volume 3, 11.11).
constexpr MsiMessage kMessage{.address = 0xfee0'0000, .data = test::kVector};

class PassedIrqfdTest : public test::InterruptedGuestTest {
  protected:
    static void signal(MsiVector& vector) { ASSERT_EQ(::eventfd_write(vector.share(), 1), 0); }
    /// Whether nothing more than `count` comes: an interrupt that is sent now arrives behind any
    /// that was on its way, and is the only one.
    [[nodiscard]] bool no_more_than(std::size_t count) {
        PassedMsiIrqfd other("probe", machine_->chip, machine_->log);
        other.route(kMessage);
        other.fire();
        return interrupts_reach(count + 1);
    }
};

TEST_F(PassedIrqfdTest, EachSignalInterruptsOnce) {
    PassedMsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    for (std::size_t i = 1; i <= 5; ++i) {
        signal(vector);
        ASSERT_TRUE(interrupts_reach(i)) << machine_->ending.message();
    }
}

TEST_F(PassedIrqfdTest, WhatComesWithoutARouteIsSentWithTheNextAndNothingElse) {
    PassedMsiIrqfd vector("test", machine_->chip, machine_->log);
    signal(vector);
    signal(vector);
    vector.route(kMessage);
    ASSERT_TRUE(interrupts_reach(1)) << "several signals are one interrupt";
    vector.route(std::nullopt);
    vector.route(kMessage);
    ASSERT_TRUE(no_more_than(1)) << "nothing came in between";
    vector.route(std::nullopt);
    signal(vector);
    vector.route(kMessage);
    EXPECT_TRUE(interrupts_reach(3));
}

TEST_F(PassedIrqfdTest, ForgetsSignalsThatWaitForARoute) {
    PassedMsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    vector.route(std::nullopt);
    signal(vector);
    vector.forget_signals();
    vector.route(kMessage);
    ASSERT_TRUE(no_more_than(0));
    signal(vector);
    EXPECT_TRUE(interrupts_reach(2));
}

TEST_F(PassedIrqfdTest, AnImpossibleMessageLeavesItSilentAndLosesNothing) {
    PassedMsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    vector.route(MsiMessage{.address = 0x1'fee0'0000, .data = test::kVector});
    signal(vector);
    ASSERT_TRUE(no_more_than(0));
    vector.route(kMessage);
    EXPECT_TRUE(interrupts_reach(2));
}

TEST_F(PassedIrqfdTest, ASignalRaisesThePin) {
    const PassedPinIrqfd pin("test", machine_->chip, 4);
    ASSERT_EQ(::eventfd_write(pin.signals().trigger, 1), 0);
    EXPECT_TRUE(interrupts_reach(1)) << machine_->ending.message();
}

TEST_F(PassedIrqfdTest, NamesTheDeviceWhoseFileKvmRefuses) {
    KvmVfio files(machine_->vm);
    const io::Fd none(::eventfd(0, EFD_CLOEXEC));
    try {
        files.add(none.get(), "0000:41:00.0");
        ADD_FAILURE() << "KVM takes a file that is no device";
    } catch (const io::Error& error) {
        EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("--device: 0000:41:00.0"),
                                                 testing::HasSubstr("/dev/vfio/devices"),
                                                 testing::HasSubstr("vfio=ADDRESS")));
    }
}

}  // namespace
}  // namespace cxlvm
