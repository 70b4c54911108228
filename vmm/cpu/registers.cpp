// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/registers.hpp"

#include "devices/register.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::cpu {
namespace {

using Reg64 = Register<std::uint64_t>;

// AMD APM volume 2, 3.1; Intel SDM volume 3, 2.5.
constexpr Field<bool, 0, 0> kProtectionEnable;  // CR0
constexpr Field<bool, 4, 4> kExtensionType;
constexpr Field<bool, 5, 5> kNumericError;
constexpr Field<bool, 31, 31> kPaging;
constexpr Field<bool, 5, 5> kPhysicalAddressExtension;  // CR4
constexpr Field<bool, 8, 8> kLongModeEnable;            // EFER
constexpr Field<bool, 10, 10> kLongModeActive;
constexpr std::uint64_t kFlagsReserved = 1U << 1;  // the bit of RFLAGS that is always 1

// Segment types (AMD APM volume 2, 4.7 and 4.8).
constexpr std::uint8_t kTypeCode = 0xb;     // execute, read, accessed
constexpr std::uint8_t kTypeData = 0x3;     // read, write, accessed
constexpr std::uint8_t kTypeBusyTss = 0xb;  // in both 32-bit and 64-bit mode
constexpr std::uint32_t kTssLimit = 0x67;   // the smallest

Segment code_segment(bool long_mode) noexcept {
    return {.limit = 0xffff'ffff,
            .selector = kCodeSelector,
            .type = kTypeCode,
            .present = true,
            .default_32 = !long_mode,
            .code_or_data = true,
            .long_mode = long_mode,
            .granularity = true};
}

Segment data_segment() noexcept {
    return {.limit = 0xffff'ffff,
            .selector = kDataSelector,
            .type = kTypeData,
            .present = true,
            .default_32 = true,
            .code_or_data = true,
            .granularity = true};
}

Segment task_segment() noexcept {
    return {.limit = kTssLimit, .type = kTypeBusyTss, .present = true};
}

}  // namespace

EntryRegisters entry_registers(const boot::EntryState& entry) noexcept {
    const bool long_mode = entry.mode == boot::EntryState::Mode::Long;
    EntryRegisters regs;
    regs.code = code_segment(long_mode);
    regs.data = data_segment();
    regs.task = task_segment();
    regs.gdt = {layout::kGdt.value(), kGdtEntries * sizeof(std::uint64_t) - 1};
    regs.cr0 = Reg64{}.with(kProtectionEnable, true).with(kExtensionType, true).raw;
    if (long_mode) {
        regs.cr0 = Reg64{regs.cr0}.with(kNumericError, true).with(kPaging, true).raw;
        regs.cr3 = layout::kPageTables.value();
        regs.cr4 = Reg64{}.with(kPhysicalAddressExtension, true).raw;
        regs.efer = Reg64{}.with(kLongModeEnable, true).with(kLongModeActive, true).raw;
    }
    regs.rip = entry.entry.value();
    regs.rsp = entry.rsp;
    regs.rsi = entry.rsi;
    regs.rbx = entry.rbx;
    regs.rflags = kFlagsReserved;
    return regs;
}

}  // namespace cxlvm::cpu
