// SPDX-License-Identifier: Apache-2.0
#include "devices/shared_irq.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/fake_irq_line.hpp"

namespace cxlvm {
namespace {

class SharedIrqTest : public testing::Test {
  protected:
    test::FakeIrqLine wire_;
    SharedIrq shared_{wire_};
    SharedIrq::Holder first_{shared_};
    SharedIrq::Holder second_{shared_};
};

TEST_F(SharedIrqTest, IsHighWhileAnyoneHoldsIt) {
    first_.set(true);
    EXPECT_TRUE(wire_.level());
    second_.set(true);
    first_.set(false);
    EXPECT_TRUE(wire_.level());
    second_.set(false);
    EXPECT_FALSE(wire_.level());
}

TEST_F(SharedIrqTest, CountsAHolderOnceHoweverOftenItSaysTheSame) {
    first_.set(true);
    first_.set(true);
    first_.set(false);
    EXPECT_FALSE(wire_.level());
    first_.set(false);
    second_.set(true);
    EXPECT_TRUE(wire_.level());
}

TEST_F(SharedIrqTest, IsLeftAsItWasByAPulse) {
    first_.pulse();
    EXPECT_FALSE(wire_.level());
    second_.set(true);
    first_.pulse();
    EXPECT_TRUE(wire_.level());
}

TEST_F(SharedIrqTest, EndsAsItsHoldersDoWhenTwoThreadsChangeIt) {
    constexpr int kRounds = 20'000;
    const auto toggle = [](SharedIrq::Holder& holder, bool last) {
        for (int i = 0; i < kRounds; ++i) {
            holder.set(i % 2 == 0);
        }
        holder.set(last);
    };
    for (const bool last : {true, false}) {
        std::thread other([&] { toggle(first_, last); });
        toggle(second_, false);
        other.join();
        EXPECT_EQ(wire_.level(), last);
    }
}

}  // namespace
}  // namespace cxlvm
