// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/exits.hpp"

#include "vmm/builtin_guest/guest/cpu.hpp"
#include "vmm/builtin_guest/guest/machine.hpp"

namespace guest {
namespace {

constexpr std::uint16_t kScratch = 0x3ff;

}  // namespace

void report_exits(Console& console, std::uint64_t count) {
    if (count == 0) {
        return;
    }
    (void)in8(kScratch);  // the first one warms caches up
    const std::uint64_t begin = time_stamp();
    for (std::uint64_t i = 0; i < count; ++i) {
        (void)in8(kScratch);
    }
    const std::uint64_t cycles = time_stamp() - begin;
    console.print(Column{"exits", 10}, count, " reads of port 3ff: ", cycles / count,
                  " TSC cycles each");
    if (const std::uint32_t khz = tsc_khz(); khz != 0) {
        // At most some 1e12 cycles, so that the product fits.
        console.print(", ", cycles * 1'000'000 / khz / count, " ns");
    }
    console.print('\n');
}

}  // namespace guest
