// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <optional>

#include "vmm/builtin_guest/builtin_guest.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {
namespace {

template <typename T>
std::optional<T> read_at(std::uint64_t offset) {
    const auto image = builtin_guest();
    if (offset > image.size() || sizeof(T) > image.size() - offset) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, image.subspan(offset).data(), sizeof(T));
    return value;
}

TEST(BuiltinGuestImage, is_an_executable_for_64_bit_x86) {
    const auto header = read_at<Elf64_Ehdr>(0);
    ASSERT_TRUE(header);
    EXPECT_EQ(std::memcmp(header->e_ident, ELFMAG, SELFMAG), 0);
    EXPECT_EQ(header->e_ident[EI_CLASS], ELFCLASS64);
    EXPECT_EQ(header->e_ident[EI_DATA], ELFDATA2LSB);
    EXPECT_EQ(header->e_type, ET_EXEC);
    EXPECT_EQ(header->e_machine, EM_X86_64);
}

TEST(BuiltinGuestImage, loads_within_a_mebibyte_from_the_default_kernel_address_on) {
    const auto header = read_at<Elf64_Ehdr>(0);
    ASSERT_TRUE(header);
    bool entry_is_code = false;
    ASSERT_GT(header->e_phnum, 0);
    for (unsigned i = 0; i < header->e_phnum; ++i) {
        const auto segment =
            read_at<Elf64_Phdr>(header->e_phoff + std::uint64_t{i} * header->e_phentsize);
        ASSERT_TRUE(segment);
        ASSERT_EQ(segment->p_type, static_cast<Elf64_Word>(PT_LOAD));
        EXPECT_GE(segment->p_paddr, layout::kDefaultKernel.value());
        EXPECT_LE(segment->p_paddr + segment->p_memsz, layout::kDefaultKernel.value() + (1 << 20));
        EXPECT_LE(segment->p_filesz, segment->p_memsz);
        EXPECT_LE(segment->p_offset + segment->p_filesz, builtin_guest().size());
        const bool writable = (segment->p_flags & PF_W) != 0;
        const bool executable = (segment->p_flags & PF_X) != 0;
        EXPECT_FALSE(writable && executable);
        entry_is_code = entry_is_code || (executable && header->e_entry >= segment->p_paddr &&
                                          header->e_entry < segment->p_paddr + segment->p_filesz);
    }
    EXPECT_TRUE(entry_is_code);
}

TEST(BuiltinGuestImage, is_small) {
    EXPECT_LE(builtin_guest().size(), 64U << 10);
}

}  // namespace
}  // namespace cxlvm
