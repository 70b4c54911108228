// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/boot_params.hpp"

#include "tests/vmm/boot/image_builder.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::input_error;
using testing::HasSubstr;

TEST(CommandLine, IsTheDefaultWhenNoneIsGiven) {
    EXPECT_EQ(command_line(std::nullopt, 2047, "vmlinux"), kDefaultCommandLine);
    EXPECT_EQ(command_line("", 2047, "vmlinux"), "");
    EXPECT_EQ(command_line("quiet", 2047, "vmlinux"), "quiet");
}

TEST(CommandLine, MayBeAsLongAsTheKernelTakes) {
    EXPECT_EQ(command_line(std::string(100, 'x'), 100, "vmlinux").size(), 100U);
    EXPECT_THAT(input_error([] { (void)command_line(std::string(101, 'x'), 100, "vmlinux"); }),
                testing::AllOf(HasSubstr("--cmdline: has 101 bytes"),
                               HasSubstr("vmlinux takes at most 100")));
}

TEST(CommandLine, IsLimitedForKernelsThatSayTooMuchOrNothing) {
    const auto fits = [](std::size_t size, std::uint64_t limit) {
        return command_line(std::string(size, 'x'), limit, "vmlinux").size() == size;
    };
    EXPECT_TRUE(fits(255, 0));
    EXPECT_THAT(input_error([&] { (void)fits(256, 0); }), HasSubstr("at most 255"));
    EXPECT_TRUE(fits(0xffff, 0xffff'ffff));
    EXPECT_THAT(input_error([&] { (void)fits(0x1'0000, 0xffff'ffff); }),
                HasSubstr("at most 65535"));
}

TEST(CommandLine, MayNotHoldANul) {
    EXPECT_THAT(input_error([] { (void)command_line(std::string("a\0b", 3), 2047, "vmlinux"); }),
                HasSubstr("NUL"));
}

class BootParameters : public testing::Test {
  protected:
    std::string text_at(std::uint64_t address) const {
        std::string text;
        for (; memory_.load<char>(Gpa(address)).value() != '\0'; ++address) {
            text.push_back(*memory_.load<char>(Gpa(address)));
        }
        return text;
    }

    GuestMemory memory_{memory_of(5ULL << 30)};
    GuestInfo info_{.command_line = "console=ttyS0",
                    .initrd = *GpaRange::of(Gpa(0x1'2345'6000), 0x1'0000'0800),
                    .rsdp = Gpa(0xe0000)};
};

TEST_F(BootParameters, KeepTheImagesHeaderAndFillInTheLoadersPart) {
    SetupHeader header = test::default_header();
    header.loadflags = 0xff;
    header.kernel_alignment = 0x4242;
    write_boot_params(header, info_, memory_);
    const auto params = memory_.load<BootParams>(layout::kBootParams).value();
    EXPECT_EQ(params.header.header + 0, SetupHeader::kMagic);
    EXPECT_EQ(params.header.kernel_alignment + 0, 0x4242U);
    EXPECT_EQ(params.header.type_of_loader, 0xff);
    EXPECT_EQ(params.header.loadflags, kLoadedHigh);
    EXPECT_EQ(params.acpi_rsdp_addr + 0, 0xe0000U);
    EXPECT_EQ(text_at(params.header.cmd_line_ptr), "console=ttyS0");
    EXPECT_EQ(params.header.ramdisk_image + 0, 0x2345'6000U);
    EXPECT_EQ(params.ext_ramdisk_image + 0, 1U);
    EXPECT_EQ(params.header.ramdisk_size + 0, 0x800U);
    EXPECT_EQ(params.ext_ramdisk_size + 0, 1U);
    EXPECT_EQ(memory_.load<std::uint8_t>(Gpa(layout::kBootParams.value() + 0x1ef)), 0)
        << "the sentinel";
}

TEST_F(BootParameters, HoldTheMemoryMap) {
    write_boot_params(setup_header_for_elf(), info_, memory_);
    const auto params = memory_.load<BootParams>(layout::kBootParams).value();
    const auto map = memory_map(memory_);
    ASSERT_EQ(params.e820_entries, map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        EXPECT_EQ(params.e820_table[i].address + 0, map[i].range.base().value());
        EXPECT_EQ(params.e820_table[i].size + 0, map[i].range.size());
        EXPECT_EQ(params.e820_table[i].type + 0, static_cast<std::uint32_t>(map[i].type));
    }
}

TEST_F(BootParameters, CarryASeedThatDiffersEachTime) {
    using Seed = std::array<std::uint64_t, 4>;
    const Gpa seed_at(layout::kSetupData.value() + sizeof(SetupData));
    write_boot_params(setup_header_for_elf(), info_, memory_);
    const auto params = memory_.load<BootParams>(layout::kBootParams).value();
    EXPECT_EQ(params.header.setup_data + 0, layout::kSetupData.value());
    const auto data = memory_.load<SetupData>(layout::kSetupData).value();
    EXPECT_EQ(data.next + 0, 0U);
    EXPECT_EQ(data.type + 0, SetupData::kRngSeed);
    EXPECT_EQ(data.length + 0, sizeof(Seed));
    const auto first = memory_.load<Seed>(seed_at).value();
    write_boot_params(setup_header_for_elf(), info_, memory_);
    EXPECT_NE(memory_.load<Seed>(seed_at).value(), first);
}

TEST_F(BootParameters, OfPvhHoldMapModuleAndCommandLine) {
    write_start_info(info_, memory_);
    const auto start = memory_.load<StartInfo>(layout::kBootParams).value();
    EXPECT_EQ(start.magic, StartInfo::kMagic);
    EXPECT_EQ(start.version, StartInfo::kVersion);
    EXPECT_EQ(start.rsdp, 0xe0000U);
    EXPECT_EQ(text_at(start.command_line), "console=ttyS0");
    ASSERT_EQ(start.module_count, 1U);
    const auto module = memory_.load<StartInfoModule>(Gpa(start.module_list)).value();
    EXPECT_EQ(module.address, info_.initrd->base().value());
    EXPECT_EQ(module.size, info_.initrd->size());
    const auto map = memory_map(memory_);
    ASSERT_EQ(start.memory_map_count, map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        const auto entry =
            memory_.load<StartInfoMemory>(Gpa(start.memory_map + i * sizeof(StartInfoMemory)))
                .value();
        EXPECT_EQ(entry.address, map[i].range.base().value());
        EXPECT_EQ(entry.size, map[i].range.size());
        EXPECT_EQ(entry.type, static_cast<std::uint32_t>(map[i].type));
    }
}

TEST_F(BootParameters, OfPvhNameNoModuleWithoutAnInitrd) {
    info_.initrd.reset();
    write_start_info(info_, memory_);
    const auto start = memory_.load<StartInfo>(layout::kBootParams).value();
    EXPECT_EQ(start.module_count, 0U);
    EXPECT_EQ(start.module_list, 0U);
}

}  // namespace
}  // namespace cxlvm::boot
