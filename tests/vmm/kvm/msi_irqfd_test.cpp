// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/msi_irqfd.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "io/error.hpp"
#include "tests/vmm/support/interrupted_guest.hpp"

namespace cxlvm {
namespace {

/// To the local APIC with id 0, fixed, edge (Intel SDM volume 3, 11.11).
constexpr MsiMessage kMessage{.address = 0xfee0'0000, .data = test::kVector};
/// Beyond 4 GiB is memory.
constexpr MsiMessage kImpossible{.address = 0x1'fee0'0000, .data = test::kVector};

TEST(MsiForKvm, KeepsTheMessageWithoutWideIds) {
    const auto msi = msi_for_kvm({.address = 0x12'fee3'3fe4, .data = 0x41d2}, false);
    EXPECT_EQ(msi.address_lo, 0xfee3'3fe4);
    EXPECT_EQ(msi.address_hi, 0x12U);
    EXPECT_EQ(msi.data, 0x41d2U);
}

TEST(MsiForKvm, MovesTheExtendedDestinationWithWideIds) {
    // Destination 0x7f33: bits 7 to 0 in 19 to 12, bits 14 to 8 in 11 to 5.
    const auto msi = msi_for_kvm({.address = 0xfee3'3fe4, .data = 0x41d2}, true);
    EXPECT_EQ(msi.address_lo, 0xfee3'3004);
    EXPECT_EQ(msi.address_hi, 0x7f00U);
}

class MsiIrqfdTest : public test::InterruptedGuestTest {
  protected:
    /// Whether nothing more than `count` comes: an interrupt that is sent now arrives behind any
    /// that was on its way, and is the only one.
    [[nodiscard]] bool no_more_than(std::size_t count) {
        MsiIrqfd other("probe", machine_->chip, machine_->log);
        other.route(kMessage);
        other.fire();
        return interrupts_reach(count + 1);
    }
};

TEST_F(MsiIrqfdTest, EachFiringInterruptsAHaltedGuestOnce) {
    MsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    for (std::size_t i = 1; i <= 5; ++i) {
        vector.fire();
        ASSERT_TRUE(interrupts_reach(i)) << machine_->ending.message();
    }
    EXPECT_EQ(last_access(), (test::Access{true, 0, {test::kInterrupt}}));
}

TEST_F(MsiIrqfdTest, AWriteToTheDescriptorFires) {
    MsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(vector.share(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    EXPECT_TRUE(interrupts_reach(1));
}

TEST_F(MsiIrqfdTest, WhatSomebodyElseSignalledWithoutARouteComesWithTheNext) {
    MsiIrqfd vector("test", machine_->chip, machine_->log);
    const int fd = vector.share();
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    EXPECT_TRUE(no_more_than(0));
    vector.route(kMessage);
    EXPECT_TRUE(interrupts_reach(2));
    vector.route(std::nullopt);
    EXPECT_TRUE(no_more_than(2));
}

TEST_F(MsiIrqfdTest, AVectorWithoutARouteIsSilent) {
    MsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.fire();
    EXPECT_TRUE(no_more_than(0));
    vector.route(kMessage);
    vector.fire();
    ASSERT_TRUE(interrupts_reach(2));
    vector.route(std::nullopt);
    vector.fire();
    EXPECT_TRUE(no_more_than(2));
}

TEST_F(MsiIrqfdTest, ARefusedMessageSilencesTheVectorAndIsLogged) {
    MsiIrqfd vector("test", machine_->chip, machine_->log);
    vector.route(kMessage);
    const std::size_t rows = machine_->chip.routes().size();
    vector.route(kImpossible);
    EXPECT_EQ(machine_->chip.routes().size(), rows - 1);
    vector.fire();
    EXPECT_TRUE(no_more_than(0));
    vector.route(kMessage);
    vector.fire();
    EXPECT_TRUE(interrupts_reach(2));
}

TEST_F(MsiIrqfdTest, PinsKeepTheirRoutesBesideManyVectors) {
    std::vector<std::unique_ptr<MsiIrqfd>> vectors;
    for (int i = 0; i < 100; ++i) {
        vectors.push_back(std::make_unique<MsiIrqfd>("test", machine_->chip, machine_->log));
        vectors.back()->route(kMessage);
    }
    EXPECT_EQ(machine_->chip.routes().size(), layout::kIoApicPins + 100);
    vectors.back()->fire();
    ASSERT_TRUE(interrupts_reach(1));
    IrqPin pin(machine_->chip, 4);
    pin.pulse();
    ASSERT_TRUE(interrupts_reach(2));
    vectors.clear();
    EXPECT_EQ(machine_->chip.routes().size(), layout::kIoApicPins);
    pin.pulse();
    EXPECT_TRUE(interrupts_reach(3));
}

TEST_F(MsiIrqfdTest, RoutesOfTwoVectorsChangeAtOnce) {
    MsiIrqfd one("one", machine_->chip, machine_->log);
    MsiIrqfd two("two", machine_->chip, machine_->log);
    const auto toggle = [](MsiIrqfd& vector) {
        for (int i = 0; i < 50; ++i) {
            vector.route(kMessage);
            vector.route(std::nullopt);
        }
        vector.route(kMessage);
    };
    std::thread other([&] { toggle(two); });
    toggle(one);
    other.join();
    EXPECT_EQ(machine_->chip.routes().size(), layout::kIoApicPins + 2);
    one.fire();
    ASSERT_TRUE(interrupts_reach(1));
    two.fire();
    EXPECT_TRUE(interrupts_reach(2));
}

class GsiRoutesTest : public test::KvmTest {};

TEST_F(GsiRoutesTest, AReleasedGsiIsAcquiredAgain) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    IrqChip chip(kvm, vm);
    GsiRoutes& routes = chip.routes();
    const std::uint32_t first = routes.acquire();
    const std::uint32_t second = routes.acquire();
    EXPECT_EQ(first, layout::kIoApicPins);
    EXPECT_EQ(second, first + 1);
    EXPECT_EQ(routes.set(first, kMessage), 0);
    EXPECT_EQ(routes.set(second, kImpossible), EINVAL);
    EXPECT_EQ(routes.size(), layout::kIoApicPins + 1);
    routes.release(first);
    EXPECT_EQ(routes.size(), layout::kIoApicPins);
    EXPECT_EQ(routes.acquire(), first);
}

TEST_F(GsiRoutesTest, RefusesMoreThanKvmRoutes) {
    const Kvm kvm("/dev/kvm");
    const KvmVm vm(kvm);
    IrqChip chip(kvm, vm);
    const int limit = kvm.capability(KVM_CAP_IRQ_ROUTING);
    ASSERT_GT(limit, static_cast<int>(layout::kIoApicPins));
    for (int i = layout::kIoApicPins; i < limit; ++i) {
        static_cast<void>(chip.routes().acquire());
    }
    EXPECT_THROW(static_cast<void>(chip.routes().acquire()), io::Error);
}

}  // namespace
}  // namespace cxlvm
