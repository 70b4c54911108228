// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_space.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/io_access.hpp"

namespace cxlvm::pci {
namespace {

constexpr Identity kIdentity{.vendor_id = 0x1234,
                             .device_id = 0x5678,
                             .revision = 0x9a,
                             .class_code = 0x0b'0c'0d,
                             .subsystem_vendor_id = 0xaaaa,
                             .subsystem_id = 0xbbbb,
                             .interrupt_pin = 1};

class ConfigSpaceTest : public testing::Test {
  protected:
    std::uint32_t dword(std::size_t offset) { return config_.registers().get32(offset); }

    ConfigSpace config_{kIdentity};
};

TEST_F(ConfigSpaceTest, LaysTheHeaderOutAsTheStandardPrintsIt) {
    EXPECT_EQ(dword(0x00), 0x5678'1234U);
    EXPECT_EQ(dword(0x04), 0U);
    EXPECT_EQ(dword(0x08), 0x0b0c'0d9aU);
    EXPECT_EQ(dword(0x0c), 0U);
    EXPECT_EQ(dword(0x2c), 0xbbbb'aaaaU);
    EXPECT_EQ(dword(0x34), 0U);
    EXPECT_EQ(dword(0x3c), 0x0000'0100U);
    EXPECT_EQ(dword(0x100), 0U) << "no extended capability";
}

TEST_F(ConfigSpaceTest, LinksCapabilitiesInTheOrderOfTheirAddition) {
    constexpr std::array kBody = {
        RegisterSpec{.offset = 2, .width = 2, .reset = 0x0102, .writable = 0xff}};
    EXPECT_EQ(config_.add_capability(0x10, 7, kBody), 0x40);
    EXPECT_EQ(config_.add_capability(0x11, 12, kBody), 0x48) << "on the next dword";
    EXPECT_EQ(config_.add_capability(0x05, 2, {}), 0x54);
    EXPECT_EQ(dword(0x04), 0x0010'0000U) << "the status bit says that there is a list";
    EXPECT_EQ(dword(0x34), 0x40U);
    EXPECT_EQ(dword(0x40), 0x0102'4810U);
    EXPECT_EQ(dword(0x48), 0x0102'5411U);
    EXPECT_EQ(dword(0x54), 0x0000'0005U);
}

TEST_F(ConfigSpaceTest, LinksExtendedCapabilitiesFromTheirFixedStart) {
    constexpr std::array kBody = {RegisterSpec{.offset = 4, .width = 4, .reset = 0xffff'ffff}};
    EXPECT_EQ(config_.add_extended_capability(0x0023, 1, 8, kBody), 0x100);
    EXPECT_EQ(config_.add_extended_capability(0x0001, 2, 0x48, kBody), 0x108);
    EXPECT_EQ(config_.add_extended_capability(0x000b, 1, 8, {}), 0x150);
    EXPECT_EQ(dword(0x100), 0x1081'0023U);
    EXPECT_EQ(dword(0x104), 0xffff'ffffU);
    EXPECT_EQ(dword(0x108), 0x1502'0001U);
    EXPECT_EQ(dword(0x150), 0x0001'000bU);
}

TEST_F(ConfigSpaceTest, KeepsItsChainsOverReset) {
    config_.add_capability(0x10, 4, {});
    config_.add_capability(0x11, 4, {});
    config_.add_extended_capability(1, 1, 4, {});
    config_.add_extended_capability(2, 1, 4, {});
    config_.reset();
    EXPECT_EQ(dword(0x34), 0x40U);
    EXPECT_EQ(dword(0x40), 0x4410U);
    EXPECT_EQ(dword(0x04), 0x0010'0000U);
    EXPECT_EQ(dword(0x100), 0x1041'0001U);
}

TEST_F(ConfigSpaceTest, ClearsStatusBitsByWritingOnes) {
    config_.registers().set16(0x06, 0xf910);
    const std::array some = {std::byte{0x10}, std::byte{0x81}};
    ASSERT_EQ(config_.write(0x06, some), IoStatus::Ok);
    EXPECT_EQ(config_.registers().get16(0x06), 0x7810);
}

using ConfigSpaceDeathTest = ConfigSpaceTest;

TEST_F(ConfigSpaceDeathTest, RefusesCapabilitiesThatDoNotFit) {
    constexpr std::array kOutside = {RegisterSpec{.offset = 7, .width = 2}};
    constexpr std::array kInHeader = {RegisterSpec{.offset = 1, .width = 1}};
    EXPECT_DEATH(config_.add_capability(1, 8, kOutside), "leaves its capability");
    EXPECT_DEATH(config_.add_capability(1, 8, kInHeader), "leaves its capability");
    EXPECT_DEATH(config_.add_capability(1, 1, {}), "does not fit");
    EXPECT_DEATH(config_.add_capability(1, 0xc1, {}), "does not fit");
    EXPECT_DEATH(config_.add_extended_capability(1, 1, 0xf01, {}), "does not fit");
}

TEST_F(ConfigSpaceTest, FillsBothChainsToTheirLastByte) {
    EXPECT_EQ(config_.add_capability(1, 0xc0, {}), 0x40);
    EXPECT_EQ(config_.add_extended_capability(1, 1, 0xf00, {}), 0x100);
}

}  // namespace
}  // namespace cxlvm::pci
