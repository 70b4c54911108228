// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/msrs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cxlvm::cpu {
namespace {

TEST(BootMsrs, are_what_firmware_would_leave_behind) {
    EXPECT_THAT(boot_msrs(),
                testing::UnorderedElementsAre(Msr{0x10, 0}, Msr{0x1a0, 0x1}, Msr{0x2ff, 0x806}));
}

}  // namespace
}  // namespace cxlvm::cpu
