// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/registers.hpp"

#include <gtest/gtest.h>

#include "vmm/layout.hpp"

namespace cxlvm::cpu {
namespace {

using Mode = boot::EntryState::Mode;

TEST(EntryRegisters, turn_paging_on_for_a_64_bit_entry) {
    const EntryRegisters regs = entry_registers(
        {.mode = Mode::Long, .entry = Gpa(0x100'0200), .rsi = 0x7000, .rsp = 0x8ff0});
    EXPECT_EQ(regs.cr0, 0x8000'0031U);
    EXPECT_EQ(regs.cr3, layout::kPageTables.value());
    EXPECT_EQ(regs.cr4, 0x20U);
    EXPECT_EQ(regs.efer, 0x500U);
    EXPECT_TRUE(regs.code.long_mode);
    EXPECT_FALSE(regs.code.default_32);
    EXPECT_EQ(regs.rip, 0x100'0200U);
    EXPECT_EQ(regs.rsi, 0x7000U);
    EXPECT_EQ(regs.rsp, 0x8ff0U);
    EXPECT_EQ(regs.rflags, 2U);
}

TEST(EntryRegisters, are_flat_and_unpaged_for_a_32_bit_entry) {
    const EntryRegisters regs =
        entry_registers({.mode = Mode::Protected, .entry = Gpa(0x10'0000), .rbx = 0x7000});
    EXPECT_EQ(regs.cr0, 0x11U);
    EXPECT_EQ(regs.cr4, 0U);
    EXPECT_EQ(regs.efer, 0U);
    EXPECT_TRUE(regs.code.default_32);
    EXPECT_FALSE(regs.code.long_mode);
    EXPECT_EQ(regs.code.limit, 0xffff'ffffU);
    EXPECT_EQ(regs.data.limit, 0xffff'ffffU);
    EXPECT_EQ(regs.rbx, 0x7000U);
}

TEST(EntryRegisters, have_a_busy_task_segment_and_no_interrupt_table) {
    for (const Mode mode : {Mode::Long, Mode::Protected}) {
        const EntryRegisters regs = entry_registers({.mode = mode, .entry = Gpa(0)});
        EXPECT_EQ(regs.task.type, 0xb);
        EXPECT_TRUE(regs.task.present);
        EXPECT_FALSE(regs.task.code_or_data);
        EXPECT_EQ(regs.idt, DescriptorTable{});
    }
}

TEST(EntryRegisters, point_to_a_gdt_that_holds_the_selectors) {
    const EntryRegisters regs = entry_registers({.mode = Mode::Long, .entry = Gpa(0)});
    EXPECT_EQ(regs.gdt.base, layout::kGdt.value());
    EXPECT_EQ(regs.gdt.limit, 31U);
    EXPECT_EQ(regs.code.selector, 0x10);
    EXPECT_EQ(regs.data.selector, 0x18);
    EXPECT_LT(regs.data.selector + 7, regs.gdt.limit + 1);
}

}  // namespace
}  // namespace cxlvm::cpu
