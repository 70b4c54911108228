// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/msrs.hpp"

#include "devices/register.hpp"

namespace cxlvm::cpu {
namespace {

// Intel SDM volume 4, table 2-2; AMD APM volume 2, appendix A.
constexpr std::uint32_t kTimeStampCounter = 0x10;
constexpr std::uint32_t kMiscEnable = 0x1a0;
constexpr std::uint32_t kMtrrDefaultType = 0x2ff;

constexpr Field<bool, 0, 0> kFastStrings;
constexpr Field<bool, 11, 11> kMtrrEnable;
constexpr Field<unsigned, 7, 0> kMemoryType;
constexpr unsigned kWriteBack = 6;

}  // namespace

std::array<Msr, 3> boot_msrs() noexcept {
    using Reg = Register<std::uint64_t>;
    return {{
        // Zero on every vCPU makes KVM keep their counters in step.
        {kTimeStampCounter, 0},
        {kMiscEnable, Reg{}.with(kFastStrings, true).raw},
        // Without firmware nobody describes ranges: everything is write-back, and drivers ask for
        // uncached mappings of device memory by page attributes.
        {kMtrrDefaultType, Reg{}.with(kMtrrEnable, true).with(kMemoryType, kWriteBack).raw},
    }};
}

}  // namespace cxlvm::cpu
