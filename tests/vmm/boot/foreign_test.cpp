// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/foreign.hpp"

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::bytes_of;

TEST(DescribeForeign, NamesWhatItRecognises) {
    std::string arm64(64, '\0');
    arm64.replace(0, 2, "MZ");
    EXPECT_THAT(describe_foreign(bytes_of(arm64)), testing::HasSubstr("PE (EFI) program"));
    arm64.replace(0x38, 4, "ARM\x64");
    EXPECT_THAT(describe_foreign(bytes_of(arm64)), testing::HasSubstr("arm64"));
    EXPECT_THAT(describe_foreign(bytes_of("#!/bin/sh\n")), testing::HasSubstr("script"));
    EXPECT_THAT(describe_foreign(bytes_of("070701")), testing::HasSubstr("--initrd"));
    EXPECT_THAT(describe_foreign(bytes_of("\x1f\x8b")), testing::HasSubstr("gzip"));
}

TEST(DescribeForeign, HasAnAnswerForEverythingElse) {
    EXPECT_THAT(describe_foreign({}), testing::HasSubstr("neither a bzImage nor an ELF file"));
    EXPECT_THAT(describe_foreign(bytes_of("#")), testing::HasSubstr("neither"));
    EXPECT_THAT(describe_foreign(test::pattern(64)), testing::HasSubstr("neither"));
}

}  // namespace
}  // namespace cxlvm::boot
