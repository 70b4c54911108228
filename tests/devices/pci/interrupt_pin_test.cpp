// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/interrupt_pin.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

class InterruptPinTest : public testing::Test {
  protected:
    void disable(bool on) { test::write_value(function_, 0x04, 2, on ? 0x400 : 0); }
    bool status() { return (*test::read_value(function_, 0x06, 2) & 8U) != 0; }

    test::FakeIrqLine line_;
    PciFunction function_{"pin-function", {.interrupt_pin = 1}};
    InterruptPin pin_{function_, line_};
};

TEST_F(InterruptPinTest, HoldsTheLineWhileAnInterruptIsPending) {
    EXPECT_FALSE(line_.level());
    pin_.set(true);
    EXPECT_TRUE(line_.level());
    EXPECT_TRUE(status());
    test::write_value(function_, 0x06, 2, 0xffff);
    EXPECT_TRUE(status()) << "a guest does not write the status";
    EXPECT_TRUE(line_.level());
    pin_.set(false);
    EXPECT_FALSE(line_.level());
    EXPECT_FALSE(status());
    EXPECT_EQ(line_.pulses(), 0U);
}

TEST_F(InterruptPinTest, ReleasesTheLineButNotTheStatusWhileItIsDisabled) {
    pin_.set(true);
    disable(true);
    EXPECT_FALSE(line_.level());
    EXPECT_TRUE(status());
    disable(false);
    EXPECT_TRUE(line_.level());
    disable(true);
    pin_.set(false);
    pin_.set(true);
    EXPECT_FALSE(line_.level());
    EXPECT_TRUE(status());
}

TEST_F(InterruptPinTest, ReleasesTheLineOnReset) {
    pin_.set(true);
    function_.reset();
    EXPECT_FALSE(line_.level());
    EXPECT_FALSE(status());
}

TEST_F(InterruptPinTest, EndsInTheStateOfTheLastChangeWhenThreadsRace) {
    for (int round = 0; round < 200; ++round) {
        std::thread guest([&] {
            for (int i = 0; i < 10; ++i) {
                disable(i % 2 == 0);
            }
        });
        for (int i = 0; i < 10; ++i) {
            pin_.set(i % 2 != 0);
        }
        guest.join();
        ASSERT_TRUE(line_.level());
    }
}

TEST(InterruptPinDeathTest, RefusesAFunctionWithoutAPin) {
    test::FakeIrqLine line;
    PciFunction function("function", {});
    EXPECT_DEATH(InterruptPin(function, line), "identity has none");
}

}  // namespace
}  // namespace cxlvm::pci
