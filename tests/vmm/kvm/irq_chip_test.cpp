// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/irq_chip.hpp"

#include <gtest/gtest.h>

#include "tests/vmm/support/interrupted_guest.hpp"

namespace cxlvm {
namespace {

using test::Access;

class IrqPinTest : public test::InterruptedGuestTest {};

TEST_F(IrqPinTest, EachPulseInterruptsAHaltedGuestOnce) {
    IrqPin pin(machine_->chip, 4);
    for (std::size_t i = 1; i <= 5; ++i) {
        pin.pulse();
        ASSERT_TRUE(interrupts_reach(i)) << machine_->ending.message();
    }
    EXPECT_EQ(last_access(), (Access{true, 0, {test::kInterrupt}}));
}

TEST_F(IrqPinTest, ARisingWireIsAnEdgeAndAFallingOneIsNot) {
    IrqPin pin(machine_->chip, 4);
    pin.set(true);
    ASSERT_TRUE(interrupts_reach(1));
    pin.set(true);
    pin.set(false);
    pin.set(true);
    EXPECT_TRUE(interrupts_reach(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_TRUE(interrupts_reach(2));
}

TEST_F(IrqPinTest, APinWithoutAVectorDisturbsNobody) {
    IrqPin other(machine_->chip, 5);
    other.pulse();
    IrqPin pin(machine_->chip, 4);
    pin.pulse();
    EXPECT_TRUE(interrupts_reach(1));
}

}  // namespace
}  // namespace cxlvm
