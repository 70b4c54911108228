// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msi.hpp"

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
// The capability is the first one, at 0x40.
constexpr std::uint64_t kControl = 0x42;
constexpr std::uint64_t kAddress = 0x44;
constexpr std::uint64_t kAddressHigh = 0x48;
constexpr std::uint64_t kData = 0x4c;
constexpr std::uint64_t kMask = 0x50;
constexpr std::uint64_t kPending = 0x54;

class MsiTest : public testing::Test {
  protected:
    static constexpr std::size_t kVectors = 8;

    void write(std::uint64_t offset, std::size_t size, std::uint64_t value) {
        ASSERT_EQ(test::write_value(function_, offset, size, value), IoStatus::Ok);
    }
    std::uint64_t read(std::uint64_t offset, std::size_t size) {
        return test::read_value(function_, offset, size).value_or(~std::uint64_t{0});
    }
    /// Enables MSI with 2 to the power of `multiple` vectors.
    void enable(unsigned multiple) {
        write(kCommand, 2, kBusMaster);
        write(kAddress, 4, 0xfee0'1000);
        write(kAddressHigh, 4, 0x1);
        write(kData, 2, 0x4567);
        write(kControl, 2, 1U | multiple << 4);
    }

    FakeMsiVectors vectors_{kVectors};
    PciFunction function_{"msi-function", {}};
    Msi msi_{function_, vectors_.pointers()};
};

TEST_F(MsiTest, HasTheRegistersOfTheStandardInEveryBit) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x40, .width = 2, .reset = 0x0005},
        RegisterSpec{.offset = 0x42, .width = 2, .reset = 0x0186, .writable = 0x0071},
        RegisterSpec{.offset = 0x44, .width = 4, .writable = 0xffff'fffc},
        RegisterSpec{.offset = 0x48, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = 0x4c, .width = 4, .writable = 0xffff},
        RegisterSpec{.offset = 0x50, .width = 4, .writable = 0xff},
        RegisterSpec{.offset = 0x54, .width = 4},
        RegisterSpec{.offset = 0x58, .width = 4},
    };
    test::RegisterProbe probe(function_, [&] { function_.reset(); });
    probe.sweep(kRegisters);
}

TEST_F(MsiTest, AsksForAsManyVectorsAsItHasAndMasksEachOfThem) {
    for (unsigned log = 0; log <= 5; ++log) {
        FakeMsiVectors vectors(std::size_t{1} << log);
        PciFunction function("function", {});
        const Msi msi(function, vectors.pointers());
        EXPECT_EQ(*test::read_value(function, kControl, 2) >> 1 & 7U, log);
        test::write_value(function, kMask, 4, 0xffff'ffff);
        EXPECT_EQ(test::read_value(function, kMask, 4), (std::uint64_t{1} << (1U << log)) - 1);
    }
}

TEST_F(MsiTest, SendsNothingWhileItIsDisabled) {
    enable(3);
    write(kControl, 2, 0);
    EXPECT_FALSE(msi_.raise(0));
    EXPECT_EQ(read(kPending, 4), 0U);
    EXPECT_EQ(vectors_[0].message(), std::nullopt);
    EXPECT_EQ(vectors_[0].take_sent(), 0U);
}

TEST_F(MsiTest, TellsVectorsApartByTheLowBitsOfTheData) {
    enable(3);
    for (unsigned i = 0; i < kVectors; ++i) {
        EXPECT_EQ(vectors_[i].message(), (MsiMessage{0x1'fee0'1000, 0x4560U | i}));
        EXPECT_TRUE(msi_.raise(i));
        EXPECT_EQ(vectors_[i].take_sent(), 1U);
    }
}

TEST_F(MsiTest, MakesDoWithTheVectorsThatAreAllocated) {
    enable(1);
    EXPECT_EQ(vectors_[0].message(), (MsiMessage{0x1'fee0'1000, 0x4566}));
    EXPECT_EQ(vectors_[1].message(), (MsiMessage{0x1'fee0'1000, 0x4567}));
    EXPECT_EQ(vectors_[2].message(), std::nullopt);
    EXPECT_TRUE(msi_.raise(7));
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
    enable(0);
    EXPECT_EQ(vectors_[0].message(), (MsiMessage{0x1'fee0'1000, 0x4567}));
    EXPECT_TRUE(msi_.raise(7));
    EXPECT_EQ(vectors_[0].take_sent(), 1U);
    enable(7);
    EXPECT_TRUE(msi_.raise(7)) << "there are no more than eight, whatever the guest says";
    EXPECT_EQ(vectors_[7].take_sent(), 1U);
    EXPECT_TRUE(msi_.raise(0xffff'ffff));
    EXPECT_EQ(vectors_[7].take_sent(), 1U);
}

TEST_F(MsiTest, KeepsAMaskedVectorPendingAndSendsItOnceWhenItIsUnmasked) {
    enable(3);
    write(kMask, 4, 1U << 5);
    EXPECT_EQ(vectors_[5].message(), std::nullopt);
    EXPECT_TRUE(msi_.raise(5));
    EXPECT_TRUE(msi_.raise(5));
    EXPECT_TRUE(msi_.raise(4));
    EXPECT_EQ(read(kPending, 4), 1U << 5);
    EXPECT_EQ(vectors_[5].take_sent(), 0U);
    EXPECT_EQ(vectors_[4].take_sent(), 1U);
    write(kMask, 4, 0);
    EXPECT_EQ(read(kPending, 4), 0U);
    EXPECT_EQ(vectors_[5].take_sent(), 1U);
}

TEST_F(MsiTest, HoldsMessagesBackWhileTheFunctionMayNotMasterTheBus) {
    enable(3);
    write(kCommand, 2, 0);
    EXPECT_EQ(vectors_[0].message(), std::nullopt);
    EXPECT_TRUE(msi_.raise(0));
    write(kCommand, 2, kBusMaster);
    EXPECT_EQ(vectors_[0].take_sent(), 1U);
}

TEST_F(MsiTest, TellsVectorsOfChangesAlone) {
    enable(3);
    for (unsigned i = 0; i < kVectors; ++i) {
        EXPECT_EQ(vectors_[i].take_routes(), 1U);
    }
    enable(3);
    write(0x3c, 1, 0x0b);
    write(kMask, 4, 1);
    EXPECT_EQ(vectors_[0].take_routes(), 1U);
    EXPECT_EQ(vectors_[1].take_routes(), 0U);
    write(kAddress, 4, 0xfee0'2000);
    EXPECT_EQ(vectors_[0].take_routes(), 0U) << "it is masked";
    EXPECT_EQ(vectors_[1].message(), (MsiMessage{0x1'fee0'2000, 0x4561}));
}

TEST_F(MsiTest, ForgetsRoutesAndPendingBitsOnReset) {
    enable(3);
    write(kMask, 4, 1);
    EXPECT_TRUE(msi_.raise(0));
    function_.reset();
    EXPECT_EQ(read(kPending, 4), 0U);
    EXPECT_EQ(vectors_[1].message(), std::nullopt);
    EXPECT_FALSE(msi_.raise(1));
    enable(3);
    EXPECT_EQ(vectors_[0].take_sent(), 0U);
}

TEST_F(MsiTest, LosesNoInterruptWhileTheGuestMasksAndAllocatesNothing) {
    enable(3);
    constexpr int kRaises = 2000;
    const test::AllocationCounter allocations;
    for (int i = 0; i < 4; ++i) {
        write(kMask, 4, 0xff);
        EXPECT_TRUE(msi_.raise(3));
        write(kMask, 4, 0);
    }
    EXPECT_EQ(allocations.count(), 0U);
    std::thread guest([&] {
        for (int i = 0; i < kRaises; ++i) {
            test::write_value(function_, kMask, 4, i % 2 == 0 ? 0xff : 0);
        }
    });
    (void)vectors_[3].take_sent();
    for (int i = 0; i < kRaises; ++i) {
        EXPECT_TRUE(msi_.raise(3));
    }
    guest.join();
    EXPECT_TRUE(msi_.raise(3));
    EXPECT_GE(vectors_[3].take_sent(), 1U);
    EXPECT_EQ(vectors_[3].lost(), 0U) << "sent on a route that was gone";
    EXPECT_EQ(read(kPending, 4), 0U);
}

using MsiDeathTest = MsiTest;

TEST_F(MsiDeathTest, RefusesNumbersOfVectorsThatTheStandardDoesNotKnow) {
    for (const std::size_t count : {std::size_t{0}, std::size_t{3}, std::size_t{64}}) {
        FakeMsiVectors vectors(count);
        PciFunction function("function", {});
        EXPECT_DEATH(Msi(function, vectors.pointers()), "number of vectors");
    }
}

}  // namespace
}  // namespace cxlvm::pci
