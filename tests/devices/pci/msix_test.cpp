// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msix.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/support/allocation_counter.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kCommand = 0x04;
constexpr std::uint64_t kBusMaster = 0x4;
constexpr std::uint64_t kControl = 0x42;  // the capability is the first one, at 0x40
constexpr std::uint64_t kEnable = 0x8000;
constexpr std::uint64_t kFunctionMask = 0x4000;

class MsixTest : public testing::Test {
  protected:
    static constexpr unsigned kVectors = 70;

    void control(std::uint64_t value) {
        ASSERT_EQ(test::write_value(function_, kCommand, 2, kBusMaster), IoStatus::Ok);
        ASSERT_EQ(test::write_value(function_, kControl, 2, value), IoStatus::Ok);
    }
    void program(unsigned vector, MsiMessage message) {
        const std::uint64_t entry = std::uint64_t{vector} * 16;
        ASSERT_EQ(test::write_value(msix_.table(), entry, 8, message.address), IoStatus::Ok);
        ASSERT_EQ(test::write_value(msix_.table(), entry + 8, 4, message.data), IoStatus::Ok);
    }
    void mask(unsigned vector, bool masked) {
        ASSERT_EQ(
            test::write_value(msix_.table(), std::uint64_t{vector} * 16 + 12, 4, masked ? 1 : 0),
            IoStatus::Ok);
    }
    std::uint64_t pending(std::uint64_t qword) {
        return test::read_value(msix_.pba(), qword * 8, 8).value_or(~std::uint64_t{0});
    }

    FakeMsiVectors vectors_{kVectors};
    PciFunction function_{"msix-function", {}};
    Msix msix_{function_,
               vectors_.pointers(),
               {.table_bar = 1, .table_offset = 0x1000, .pba_bar = 4, .pba_offset = 0x28}};
};

constexpr MsiMessage kMessage{0x1'fee0'1000, 0x1234'5678};

TEST_F(MsixTest, HasTheRegistersOfTheStandardInEveryBit) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x40, .width = 2, .reset = 0x0011},
        RegisterSpec{.offset = 0x42, .width = 2, .reset = 69, .writable = 0xc000},
        RegisterSpec{.offset = 0x44, .width = 4, .reset = 0x1001},
        RegisterSpec{.offset = 0x48, .width = 4, .reset = 0x002c},
    };
    test::RegisterProbe probe(function_, [&] { function_.reset(); });
    probe.sweep(kRegisters);
}

TEST_F(MsixTest, HasATableOfTheStandardInEveryBitOfItsFirstAndLastEntry) {
    for (const std::uint32_t entry : {0U, (kVectors - 1) * 16}) {
        const std::array registers = {
            RegisterSpec{.offset = entry, .width = 8, .writable = 0xffff'ffff'ffff'fffc},
            RegisterSpec{.offset = entry, .width = 4, .writable = 0xffff'fffc},
            RegisterSpec{.offset = entry + 4, .width = 4, .writable = 0xffff'ffff},
            RegisterSpec{.offset = entry + 8, .width = 4, .writable = 0xffff'ffff},
            RegisterSpec{.offset = entry + 12, .width = 4, .reset = 1, .writable = 1},
            RegisterSpec{
                .offset = entry + 8, .width = 8, .reset = 0x1'0000'0000, .writable = 0x1'ffff'ffff},
        };
        test::RegisterProbe probe(msix_.table(), [&] { function_.reset(); });
        probe.sweep(registers);
    }
}

TEST_F(MsixTest, SizesItsStructures) {
    EXPECT_EQ(Msix::table_size(kVectors), 1120U);
    EXPECT_EQ(Msix::pba_size(1), 8U);
    EXPECT_EQ(Msix::pba_size(64), 8U);
    EXPECT_EQ(Msix::pba_size(65), 16U);
    EXPECT_EQ(Msix::pba_size(2048), 256U);
}

TEST_F(MsixTest, TakesAlignedAccessesOfFourAndEightBytesAlone) {
    for (IoHandler* handler : {&msix_.table(), &msix_.pba()}) {
        for (const std::size_t size : {1U, 2U, 3U, 16U}) {
            EXPECT_EQ(test::read_status(*handler, 0, size), IoStatus::BadSize);
            EXPECT_EQ(test::write_status(*handler, 0, size), IoStatus::BadSize);
        }
        EXPECT_EQ(test::read_status(*handler, 2, 4), IoStatus::BadAlign);
        EXPECT_EQ(test::write_status(*handler, 4, 8), IoStatus::BadAlign);
        EXPECT_EQ(test::read_status(*handler, 8, 8), IoStatus::Ok) << "the last of the PBA";
        EXPECT_EQ(test::read_status(*handler, 12, 4), IoStatus::Ok);
    }
    EXPECT_EQ(test::read_status(msix_.table(), 1120, 4), IoStatus::BadSize);
    EXPECT_EQ(test::write_status(msix_.table(), 1120, 8), IoStatus::BadSize);
    EXPECT_EQ(test::read_status(msix_.pba(), 16, 8), IoStatus::BadSize);
}

TEST_F(MsixTest, RoutesWhatIsEnabledAndUnmasked) {
    program(69, kMessage);
    control(kEnable);
    EXPECT_EQ(vectors_[69].message(), std::nullopt) << "masked from reset";
    mask(69, false);
    EXPECT_EQ(vectors_[69].message(), kMessage);
    EXPECT_TRUE(msix_.raise(69));
    EXPECT_EQ(vectors_[69].take_sent(), 1U);
    control(kEnable | kFunctionMask);
    EXPECT_EQ(vectors_[69].message(), std::nullopt);
    control(kEnable);
    EXPECT_EQ(vectors_[69].message(), kMessage);
    control(0);
    EXPECT_EQ(vectors_[69].message(), std::nullopt);
    EXPECT_FALSE(msix_.raise(69));
}

TEST_F(MsixTest, KeepsPendingWhatTheVectorsMaskHoldsBack) {
    program(68, kMessage);
    control(kEnable);
    EXPECT_TRUE(msix_.raise(68));
    EXPECT_TRUE(msix_.raise(68));
    EXPECT_EQ(pending(0), 0U);
    EXPECT_EQ(pending(1), 1U << 4);
    EXPECT_EQ(test::read_value(msix_.pba(), 8, 4), 1U << 4);
    test::write_value(msix_.pba(), 8, 8, ~std::uint64_t{0});
    test::write_value(msix_.pba(), 8, 8, 0);
    EXPECT_EQ(pending(1), 1U << 4) << "a guest does not write it";
    EXPECT_EQ(vectors_[68].take_sent(), 0U);
    mask(68, false);
    EXPECT_EQ(vectors_[68].take_sent(), 1U) << "once, however often it was raised";
    EXPECT_EQ(pending(1), 0U);
    mask(68, true);
    mask(68, false);
    EXPECT_EQ(vectors_[68].take_sent(), 0U);
}

TEST_F(MsixTest, KeepsPendingWhatTheFunctionsMaskHoldsBack) {
    program(0, kMessage);
    mask(0, false);
    control(kEnable | kFunctionMask);
    EXPECT_TRUE(msix_.raise(0));
    EXPECT_TRUE(msix_.raise(1));
    EXPECT_EQ(pending(0), 3U);
    control(kEnable);
    EXPECT_EQ(vectors_[0].take_sent(), 1U);
    EXPECT_EQ(vectors_[1].take_sent(), 0U);
    EXPECT_EQ(pending(0), 2U) << "this one is masked by itself";
}

TEST_F(MsixTest, HoldsMessagesBackWhileTheFunctionMayNotMasterTheBus) {
    program(0, kMessage);
    mask(0, false);
    control(kEnable);
    test::write_value(function_, kCommand, 2, 0);
    EXPECT_EQ(vectors_[0].message(), std::nullopt);
    EXPECT_TRUE(msix_.raise(0));
    EXPECT_EQ(pending(0), 1U);
    test::write_value(function_, kCommand, 2, kBusMaster);
    EXPECT_EQ(vectors_[0].take_sent(), 1U);
}

TEST_F(MsixTest, TellsVectorsOfChangesAlone) {
    program(3, kMessage);
    mask(3, false);
    control(kEnable);
    EXPECT_EQ(vectors_[3].take_routes(), 1U);
    EXPECT_EQ(vectors_[2].take_routes(), 0U);
    control(kEnable);
    mask(3, false);
    program(3, kMessage);
    EXPECT_EQ(vectors_[3].take_routes(), 0U);
    program(3, {.address = kMessage.address, .data = 1});
    EXPECT_EQ(vectors_[3].take_routes(), 1U);
    EXPECT_EQ(vectors_[3].message()->data, 1U);
}

TEST_F(MsixTest, IgnoresVectorsThatThereAreNot) {
    control(kEnable);
    EXPECT_TRUE(msix_.raise(kVectors));
    EXPECT_TRUE(msix_.raise(0xffff'ffff));
    EXPECT_EQ(pending(0) | pending(1), 0U);
}

TEST_F(MsixTest, StartsOverOnReset) {
    program(0, kMessage);
    mask(0, false);
    control(kEnable);
    EXPECT_TRUE(msix_.raise(1));
    function_.reset();
    EXPECT_EQ(vectors_[0].message(), std::nullopt);
    EXPECT_EQ(pending(0), 0U);
    EXPECT_EQ(test::read_value(msix_.table(), 0, 8), 0U);
    EXPECT_EQ(test::read_value(msix_.table(), 8, 8), 0x1'0000'0000U);
    control(kEnable);
    EXPECT_EQ(vectors_[0].message(), std::nullopt);
}

TEST_F(MsixTest, LosesNoInterruptWhileTheGuestMasksAndAllocatesNothing) {
    program(0, kMessage);
    mask(0, false);
    control(kEnable);
    const test::AllocationCounter allocations;
    control(kEnable | kFunctionMask);
    EXPECT_TRUE(msix_.raise(0));
    control(kEnable);
    mask(0, true);
    mask(0, false);
    EXPECT_EQ(allocations.count(), 0U);
    constexpr int kRaises = 2000;
    std::thread vector_masker([&] {
        for (int i = 0; i < kRaises; ++i) {
            test::write_value(msix_.table(), 12, 4, i % 2 == 0 ? 1 : 0);
        }
    });
    std::thread function_masker([&] {
        for (int i = 0; i < kRaises; ++i) {
            test::write_value(function_, kControl, 2,
                              i % 2 == 0 ? kEnable | kFunctionMask : kEnable);
        }
    });
    for (int i = 0; i < kRaises; ++i) {
        EXPECT_TRUE(msix_.raise(0));
    }
    vector_masker.join();
    function_masker.join();
    EXPECT_EQ(vectors_[0].message(), kMessage);
    EXPECT_EQ(pending(0), 0U);
    EXPECT_EQ(vectors_[0].lost(), 0U) << "sent on a route that was gone";
    EXPECT_GE(vectors_[0].take_sent(), 1U);
}

using MsixDeathTest = MsixTest;

TEST_F(MsixDeathTest, RefusesWhatTheStandardHasNoPlaceFor) {
    PciFunction function("function", {});
    FakeMsiVectors none(0);
    FakeMsiVectors many(2049);
    EXPECT_DEATH(Msix(function, none.pointers(), {}), "within 1 and 2048");
    EXPECT_DEATH(Msix(function, many.pointers(), {}), "within 1 and 2048");
    EXPECT_DEATH(Msix(function, vectors_.pointers(), {.table_bar = 6}), "in no BAR");
    EXPECT_DEATH(Msix(function, vectors_.pointers(), {.pba_offset = 4}), "multiples of 8");
}

}  // namespace
}  // namespace cxlvm::pci
