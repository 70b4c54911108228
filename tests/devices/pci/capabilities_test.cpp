// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/capabilities.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

#include "devices/pci/interrupt_pin.hpp"
#include "devices/pci/msi.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kPowerControl = 0x44;  // the capability is the first one, at 0x40
constexpr std::uint64_t kD3Hot = 3;

TEST(PowerManagement, HasTheRegistersOfTheStandard) {
    PciFunction function("function", {});
    add_power_management(function);
    EXPECT_EQ(test::read_value(function, 0x40, 4), 0x0003'0001U);
    EXPECT_EQ(test::read_value(function, kPowerControl, 4), 0x0000'0008U);
    test::write_value(function, kPowerControl, 4, 0xffff'ffff);
    EXPECT_EQ(test::read_value(function, kPowerControl, 4), 0x0000'000bU);
    function.reset();
    EXPECT_EQ(test::read_value(function, kPowerControl, 4), 0x0000'0008U);
}

TEST(PowerManagement, DoesNotTakeAStateThatIsNotSupported) {
    PciFunction function("function", {});
    add_power_management(function);
    for (const std::uint64_t state : {1U, 2U}) {
        test::write_value(function, kPowerControl, 2, state);
        EXPECT_EQ(test::read_value(function, kPowerControl, 2), 0x8U);
    }
    test::write8(function, kPowerControl, kD3Hot);
    for (const std::uint64_t state : {1U, 2U}) {
        test::write8(function, kPowerControl, state);
        EXPECT_EQ(test::read_value(function, kPowerControl, 2), 0xbU);
    }
    test::write8(function, kPowerControl, 0);
    EXPECT_EQ(test::read_value(function, kPowerControl, 2), 0x8U);
}

TEST(PowerManagement, MakesAFunctionSilentInD3HotAndKeepsItsContext) {
    PciFunction function("function", {.interrupt_pin = 1});
    FakeMsiVectors vectors(1);
    test::FakeIrqLine line;
    add_power_management(function);
    Msi msi(function, vectors.pointers());
    InterruptPin pin(function, line);
    test::write_value(function, 0x04, 2, 0x4);
    test::write_value(function, 0x4a, 2, 0x1);
    pin.set(true);
    ASSERT_TRUE(vectors[0].message());
    test::write8(function, kPowerControl, kD3Hot);
    EXPECT_FALSE(vectors[0].message());
    EXPECT_FALSE(line.level());
    EXPECT_TRUE(msi.raise(0));
    test::write8(function, kPowerControl, 0);
    EXPECT_EQ(vectors[0].take_sent(), 1U);
    EXPECT_TRUE(line.level());
    EXPECT_EQ(test::read_value(function, 0x04, 2), 0x4U);
}

TEST_F(BarTest, DecodesNothingInD3Hot) {
    add_power_management(function_);
    function_.move0(kLow);
    function_.decode(true);
    EXPECT_EQ(touch(kLow), IoStatus::Ok);
    test::write8(function_, kPowerControl, kD3Hot);
    EXPECT_EQ(touch(kLow), IoStatus::Unmapped);
    test::write8(function_, kPowerControl, 0);
    EXPECT_EQ(touch(kLow), IoStatus::Ok);
}

class ExpressTest : public testing::Test {
  protected:
    void sweep(PortType type, std::uint8_t number, std::span<const RegisterSpec> table) {
        PciFunction function("function", {});
        EXPECT_EQ(add_express(function, type, number), 0x40);
        test::RegisterProbe probe(function, [&] { function.reset(); });
        probe.sweep(table);
    }
};

TEST_F(ExpressTest, DescribesAnIntegratedEndpointWithoutALink) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x40, .width = 4, .reset = 0x0092'0010},
        RegisterSpec{.offset = 0x44, .width = 4, .reset = 0x8000},
        RegisterSpec{.offset = 0x48, .width = 2, .reset = 0x2810, .writable = 0x781f},
        RegisterSpec{.offset = 0x4a, .width = 2, .w1c = 0xf},
        RegisterSpec{.offset = 0x4c, .width = 4},
        RegisterSpec{.offset = 0x50, .width = 4},
        RegisterSpec{.offset = 0x54, .width = 4},
        RegisterSpec{.offset = 0x58, .width = 4},
        RegisterSpec{.offset = 0x5c, .width = 4},
        RegisterSpec{.offset = 0x60, .width = 4},
        RegisterSpec{.offset = 0x64, .width = 4, .reset = 0x10},
        RegisterSpec{.offset = 0x68, .width = 4, .writable = 0x10},
        RegisterSpec{.offset = 0x6c, .width = 4},
        RegisterSpec{.offset = 0x70, .width = 4},
        RegisterSpec{.offset = 0x74, .width = 4},
        RegisterSpec{.offset = 0x78, .width = 4},
    };
    sweep(PortType::Integrated, 0, kRegisters);
}

TEST_F(ExpressTest, DescribesAnEndpointWithItsLink) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x40, .width = 4, .reset = 0x0002'0010},
        RegisterSpec{.offset = 0x48, .width = 2, .reset = 0x2810, .writable = 0x781f},
        RegisterSpec{.offset = 0x4c, .width = 4, .reset = 0x0040'0102},
        RegisterSpec{.offset = 0x50, .width = 2, .writable = 0x00cb},
        RegisterSpec{.offset = 0x52, .width = 2, .reset = 0x1102},
        RegisterSpec{.offset = 0x54, .width = 4},
        RegisterSpec{.offset = 0x58, .width = 4},
        RegisterSpec{.offset = 0x5c, .width = 4},
        RegisterSpec{.offset = 0x60, .width = 4},
        RegisterSpec{.offset = 0x6c, .width = 4, .reset = 0x6},
        RegisterSpec{.offset = 0x70, .width = 2, .reset = 0x2, .writable = 0xffbf},
        RegisterSpec{.offset = 0x72, .width = 2},
    };
    sweep(PortType::Endpoint, 0, kRegisters);
}

TEST_F(ExpressTest, DescribesARootPortWithItsLinkAndSlot) {
    constexpr std::array kRegisters = {
        RegisterSpec{.offset = 0x40, .width = 4, .reset = 0x0142'0010},
        RegisterSpec{.offset = 0x44, .width = 4, .reset = 0x8000},
        RegisterSpec{.offset = 0x48, .width = 2, .writable = 0x000f},
        RegisterSpec{.offset = 0x4a, .width = 2, .w1c = 0xf},
        RegisterSpec{.offset = 0x4c, .width = 4, .reset = 0x0770'0102},
        RegisterSpec{.offset = 0x50, .width = 2, .writable = 0x0cd3},
        RegisterSpec{.offset = 0x52, .width = 2, .reset = 0x1102, .w1c = 0xc000},
        RegisterSpec{.offset = 0x54, .width = 4, .reset = 7U << 19 | 1U << 18},
        RegisterSpec{.offset = 0x58, .width = 2, .reset = 0x03c0, .writable = 0x13c0},
        RegisterSpec{.offset = 0x5a, .width = 2, .w1c = 0x0100},
        RegisterSpec{.offset = 0x5c, .width = 4, .writable = 0xf},
        RegisterSpec{.offset = 0x60, .width = 4, .w1c = 0x1'0000},
        RegisterSpec{.offset = 0x64, .width = 4, .reset = 0x10},
        RegisterSpec{.offset = 0x68, .width = 4, .writable = 0x10},
        RegisterSpec{.offset = 0x6c, .width = 4, .reset = 0x6},
        RegisterSpec{.offset = 0x70, .width = 4, .reset = 0x2, .writable = 0xffbf},
    };
    sweep(PortType::RootPort, 7, kRegisters);
}

/// Counts its resets.
class ResettableFunction final : public PciFunction {
  public:
    explicit ResettableFunction(PortType type) : PciFunction("function", {}) {
        add_express_with_reset(*this, type);
    }
    void reset() noexcept override {
        ++resets;
        PciFunction::reset();
    }
    unsigned resets = 0;
};

constexpr std::uint64_t kDeviceCapabilities = 0x44;
constexpr std::uint64_t kDeviceControl = 0x48;
constexpr std::uint64_t kLinkControlOffset = 0x50;

TEST(FunctionLevelReset, ResetsOnceForEachOrderAndIsNeverSeenInItsRegister) {
    ResettableFunction function(PortType::Integrated);
    EXPECT_EQ(test::read_value(function, kDeviceCapabilities, 4), 0x1000'8000U);
    test::write8(function, 0x3c, 0x5a);
    test::write_value(function, kDeviceControl, 2, 0x7fff);
    EXPECT_EQ(function.resets, 0U);
    test::write_value(function, kDeviceControl, 2, 0xffff);
    EXPECT_EQ(function.resets, 1U);
    EXPECT_EQ(test::read_value(function, kDeviceControl, 2), 0x2810U);
    EXPECT_EQ(test::read8(function, 0x3c), 0U);
    test::write8(function, kDeviceControl + 1, 0x80);
    EXPECT_EQ(function.resets, 2U);
    test::write8(function, kDeviceControl, 0xff);
    test::write_value(function, 0x04, 2, 0x6);
    EXPECT_EQ(function.resets, 2U) << "the bit's byte alone gives the order";
}

TEST(FunctionLevelReset, LeavesTheSettingsOfTheLink) {
    ResettableFunction function(PortType::Endpoint);
    test::write_value(function, kLinkControlOffset, 2, 0x00cb);
    test::write_value(function, kDeviceControl, 2, 0x8000);
    EXPECT_EQ(test::read_value(function, kLinkControlOffset, 2), 0x00cbU);
    function.reset();
    EXPECT_EQ(test::read_value(function, kLinkControlOffset, 2), 0U) << "any other reset";
}

TEST(FunctionLevelReset, IsNothingToAFunctionThatIsNotCapableOfIt) {
    PciFunction function("function", {});
    add_express(function, PortType::Endpoint);
    test::write8(function, 0x3c, 0x5a);
    test::write_value(function, kDeviceControl, 2, 0xffff);
    EXPECT_EQ(test::read_value(function, kDeviceControl, 2), 0x781fU);
    EXPECT_EQ(test::read8(function, 0x3c), 0x5aU);
}

TEST_F(BarTest, IsUnmappedByAFunctionLevelReset) {
    add_express_with_reset(function_, PortType::Endpoint);
    function_.move2(kHigh);
    function_.decode(true);
    ASSERT_EQ(space_.region_count(), 2U);
    test::write_value(function_, kDeviceControl, 2, 0x8000);
    EXPECT_EQ(space_.region_count(), 0U);
    function_.move2(kHigh);
    function_.decode(true);
    EXPECT_EQ(space_.region_count(), 2U);
}

}  // namespace
}  // namespace cxlvm::pci
