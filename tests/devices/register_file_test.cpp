// SPDX-License-Identifier: Apache-2.0
#include "devices/register_file.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>

#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm {
namespace {

// clang-format off
constexpr std::array kTable = {
    RegisterSpec{.offset = 0, .width = 4, .reset = 0x1234'5678, .writable = 0x0000'ff0f},
    RegisterSpec{.offset = 4, .width = 2, .reset = 0xf0f0, .w1c = 0xff00},
    RegisterSpec{.offset = 6, .width = 1, .reset = 0xa5, .writable = 0x0f, .w1c = 0xf0},
    RegisterSpec{.offset = 8, .width = 8, .reset = 0x1122'3344'5566'7788,
                 .writable = 0xffff'ffff'0000'0000},
};
// clang-format on
constexpr std::size_t kSize = 20;

/// A RegisterFile behind the interface that the probe takes.
class Handler final : public IoHandler {
  public:
    explicit Handler(RegisterFile& file) noexcept : file_(file) {}
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        return file_.read(offset, data);
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        return file_.write(offset, data);
    }

  private:
    RegisterFile& file_;
};

class RegisterFileTest : public testing::Test {
  protected:
    RegisterFile file_{kSize, kTable};
    Handler handler_{file_};
};

TEST_F(RegisterFileTest, FollowsItsTableInEveryBit) {
    test::RegisterProbe probe(handler_, [this] { file_.reset(); });
    probe.sweep(kTable);
}

TEST_F(RegisterFileTest, AppliesTheRuleToEachByteOfANarrowWrite) {
    ASSERT_EQ(test::write8(handler_, 1, 0xff), IoStatus::Ok);
    EXPECT_EQ(file_.get32(0), 0x1234'ff78U);
    ASSERT_EQ(test::write8(handler_, 5, 0x30), IoStatus::Ok);
    EXPECT_EQ(file_.get16(4), 0xc0f0);
}

TEST_F(RegisterFileTest, AppliesTheRuleAcrossRegisters) {
    ASSERT_EQ(test::write_value(handler_, 2, 8, ~std::uint64_t{0}), IoStatus::Ok);
    EXPECT_EQ(file_.get32(0), 0x1234'5678U);
    EXPECT_EQ(file_.get16(4), 0x00f0);
    EXPECT_EQ(file_.get8(6), 0x0f);
}

TEST_F(RegisterFileTest, ReadsAsZeroWhereNoRegisterIs) {
    ASSERT_EQ(test::write_value(handler_, 16, 4, 0xffff'ffff), IoStatus::Ok);
    EXPECT_EQ(test::read_value(handler_, 16, 4), 0U);
    EXPECT_EQ(test::read8(handler_, 7), 0U);
}

TEST_F(RegisterFileTest, ServesTheLastByteAndRefusesWhatLeavesTheBlock) {
    EXPECT_EQ(test::read_status(handler_, kSize - 1, 1), IoStatus::Ok);
    EXPECT_EQ(test::write_status(handler_, kSize - 1, 1), IoStatus::Ok);
    for (const std::size_t size : {std::size_t{2}, std::size_t{4}, std::size_t{8}}) {
        EXPECT_EQ(test::read_status(handler_, kSize - 1, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(handler_, kSize - 1, size), IoStatus::BadSize);
    }
    EXPECT_EQ(test::read_status(handler_, kSize, 1), IoStatus::BadSize);
    EXPECT_EQ(test::read_status(handler_, ~std::uint64_t{0}, 1), IoStatus::BadSize);
    EXPECT_EQ(test::write_status(handler_, ~std::uint64_t{0} - 3, 8), IoStatus::BadSize);
}

TEST_F(RegisterFileTest, LetsTheDeviceWriteWhatTheGuestMayNot) {
    file_.set32(0, 0xdead'beef);
    EXPECT_EQ(file_.get32(0), 0xdead'beefU);
    file_.set64(8, 0x0102'0304'0506'0708);
    EXPECT_EQ(file_.get8(8), 0x08);
    EXPECT_EQ(file_.get16(14), 0x0102);
    file_.set16(4, 0x1111);
    file_.set8(6, 0);
    EXPECT_EQ(file_.get64(0), 0x0000'1111'dead'beefU);
    file_.reset();
    EXPECT_EQ(file_.get32(0), 0x1234'5678U);
    EXPECT_EQ(file_.get64(8), 0x1122'3344'5566'7788U);
}

TEST_F(RegisterFileTest, KeepsAPresetValueOverReset) {
    file_.preset8(6, 0x11);
    file_.preset16(0, 0xbeef);
    file_.set32(0, 0);
    file_.reset();
    EXPECT_EQ(file_.get8(6), 0x11);
    EXPECT_EQ(file_.get32(0), 0x1234'beefU);
}

TEST_F(RegisterFileTest, TakesRegistersAfterConstruction) {
    file_.add({.offset = 16, .width = 4, .reset = 7, .writable = 0xff});
    ASSERT_EQ(test::write_value(handler_, 16, 4, 0xffff'ffff), IoStatus::Ok);
    EXPECT_EQ(file_.get32(16), 0xffU);
    file_.reset();
    EXPECT_EQ(file_.get32(16), 7U);
}

using RegisterFileDeathTest = RegisterFileTest;

TEST_F(RegisterFileDeathTest, RefusesABrokenTable) {
    EXPECT_DEATH(file_.add({.offset = 3, .width = 1}), "overlap");
    EXPECT_DEATH(file_.add({.offset = 16, .width = 3}), "bytes wide");
    EXPECT_DEATH(file_.add({.offset = 18, .width = 4}), "leaves its block");
    EXPECT_DEATH(file_.add({.offset = 0xffff'fffc, .width = 4}), "leaves its block");
    EXPECT_DEATH(file_.add({.offset = 16, .width = 1, .reset = 0x100}), "exceed its width");
    EXPECT_DEATH(file_.add({.offset = 16, .width = 1, .writable = 3, .w1c = 2}), "both writable");
}

TEST_F(RegisterFileDeathTest, StopsADeviceThatLeavesItsOwnRegisters) {
    EXPECT_DEATH(static_cast<void>(file_.get32(kSize - 3)), "outside");
    EXPECT_DEATH(file_.set8(kSize, 0), "outside");
}

}  // namespace
}  // namespace cxlvm
