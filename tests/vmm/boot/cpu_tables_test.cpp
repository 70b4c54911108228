// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/cpu_tables.hpp"

#include <array>

#include "devices/acpi/power.hpp"
#include "tests/vmm/boot/image_builder.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

constexpr std::uint64_t kFrame = 0x000f'ffff'ffff'f000;
constexpr std::uint64_t kPresentWritable = 0x3;
constexpr std::uint64_t kLargePage = 0x80;

class CpuTables : public testing::Test {
  protected:
    /// What a processor finds for `address`; nothing when it is not mapped.
    std::optional<std::uint64_t> translate(std::uint64_t address) const {
        const auto entry = [&](std::uint64_t table, unsigned shift) {
            return memory_.load<std::uint64_t>(Gpa(table + (address >> shift & 511) * 8)).value();
        };
        const std::uint64_t level4 = entry(layout::kPageTables.value(), 39);
        if ((level4 & kPresentWritable) != kPresentWritable) {
            return std::nullopt;
        }
        const std::uint64_t level3 = entry(level4 & kFrame, 30);
        if ((level3 & kPresentWritable) != kPresentWritable) {
            return std::nullopt;
        }
        const std::uint64_t level2 = entry(level3 & kFrame, 21);
        EXPECT_EQ(level2 & (kPresentWritable | kLargePage), kPresentWritable | kLargePage);
        return (level2 & kFrame) + (address & 0x1f'ffff);
    }

    GuestMemory memory_{memory_of(2U << 20)};
};

TEST_F(CpuTables, MapTheFirstFourGibibytesOntoThemselves) {
    write_page_tables(memory_);
    for (std::uint64_t address = 0; address < 1ULL << 32; address += 0x1f'f001) {
        ASSERT_EQ(translate(address), address);
    }
    EXPECT_EQ(translate((1ULL << 32) - 1), (1ULL << 32) - 1);
    EXPECT_EQ(translate(1ULL << 32), std::nullopt);
}

TEST_F(CpuTables, EndWithTheSixPagesOfTheLayout) {
    write_page_tables(memory_);
    EXPECT_NE(memory_.load<std::uint64_t>(Gpa(layout::kPageTables.value() + 6 * 4096 - 8)), 0U);
    EXPECT_EQ(memory_.load<std::uint64_t>(Gpa(layout::kPageTables.value() + 6 * 4096)), 0U);
}

TEST_F(CpuTables, HaveCodeOfTheEntrysMode) {
    constexpr std::uint64_t kLong = 1ULL << 53;
    constexpr std::uint64_t kDefault32 = 1ULL << 54;
    const Gpa code(layout::kGdt.value() + kBootCodeSelector);
    write_gdt(memory_, EntryState::Mode::Long);
    EXPECT_EQ(memory_.load<std::uint64_t>(code).value() & (kLong | kDefault32), kLong);
    write_gdt(memory_, EntryState::Mode::Protected);
    EXPECT_EQ(memory_.load<std::uint64_t>(code).value() & (kLong | kDefault32), kDefault32);
    EXPECT_EQ(memory_.load<std::uint64_t>(Gpa(layout::kGdt.value() + kBootDataSelector)),
              0x00cf'9300'0000'ffffU);
    EXPECT_EQ(memory_.load<std::uint64_t>(layout::kGdt), 0U);
}

TEST_F(CpuTables, AskForAResetWhereAPcHasItsBiosEntry) {
    write_reset_vector(memory_);
    // mov dx, port; mov al, value; out dx, al: in real mode.
    const auto code = memory_.load<std::array<std::uint8_t, 6>>(Gpa(0xffff0)).value();
    const unsigned port = layout::kAcpiPort + acpi::power_offset::kReset;
    EXPECT_THAT(code,
                testing::ElementsAre(0xba, port & 0xff, port >> 8, 0xb0, acpi::kResetValue, 0xee));
}

TEST(CpuTablesOfATinyGuest, AreRefused) {
    GuestMemory memory(memory_of(8192));
    EXPECT_THAT(test::input_error([&] { write_page_tables(memory); }),
                testing::HasSubstr("--memory"));
}

}  // namespace
}  // namespace cxlvm::boot
