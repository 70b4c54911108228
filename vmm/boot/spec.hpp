// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// What the standards of booting say, and nothing else.
///
/// Linux: Documentation/arch/x86/boot.rst (boot protocol 2.15) and zero-page.rst.
/// PVH: the Xen project's "x86/HVM direct boot ABI", start info version 1.
/// All numbers are little endian, as is every host that we run on.
namespace cxlvm::boot {

/// Linux setup header; in the file and in the zero page at offset 0x1f1. Its fields came with
/// protocol 2.00 to 2.15; older kernels have other bytes where their header ends early.
struct [[gnu::packed]] SetupHeader {
    static constexpr std::size_t kOffset = 0x1f1;
    static constexpr std::uint16_t kBootFlag = 0xaa55;
    static constexpr std::uint32_t kMagic = 0x53726448;  ///< "HdrS"

    std::uint8_t setup_sects;  ///< real-mode code in units of 512 bytes; 0 means 4
    std::uint16_t root_flags;
    std::uint32_t syssize;  ///< protected-mode code in units of 16 bytes
    std::uint16_t ram_size;
    std::uint16_t vid_mode;
    std::uint16_t root_dev;
    std::uint16_t boot_flag;
    std::uint8_t jump_opcode;
    std::uint8_t jump_offset;  ///< the header ends at 0x202 plus this
    std::uint32_t header;
    std::uint16_t version;
    std::uint32_t realmode_swtch;
    std::uint16_t start_sys_seg;
    std::uint16_t kernel_version;
    std::uint8_t type_of_loader;
    std::uint8_t loadflags;
    std::uint16_t setup_move_size;
    std::uint32_t code32_start;
    std::uint32_t ramdisk_image;
    std::uint32_t ramdisk_size;
    std::uint32_t bootsect_kludge;
    std::uint16_t heap_end_ptr;
    std::uint8_t ext_loader_ver;
    std::uint8_t ext_loader_type;
    std::uint32_t cmd_line_ptr;
    std::uint32_t initrd_addr_max;   ///< 2.03: last address that an initrd may use
    std::uint32_t kernel_alignment;  ///< 2.05
    std::uint8_t relocatable_kernel;
    std::uint8_t min_alignment;
    std::uint16_t xloadflags;    ///< 2.12
    std::uint32_t cmdline_size;  ///< 2.06, without the final NUL
    std::uint32_t hardware_subarch;
    std::uint64_t hardware_subarch_data;
    std::uint32_t payload_offset;  ///< 2.08, from the start of the protected-mode code
    std::uint32_t payload_length;
    std::uint64_t setup_data;    ///< 2.09, first of a chain of SetupData
    std::uint64_t pref_address;  ///< 2.10
    std::uint32_t init_size;     ///< 2.10, memory used before the kernel knows the memory map
    std::uint32_t handover_offset;
    std::uint32_t kernel_info_offset;
};
static_assert(sizeof(SetupHeader) == 0x26c - SetupHeader::kOffset);
static_assert(offsetof(SetupHeader, header) == 0x202 - SetupHeader::kOffset);
static_assert(offsetof(SetupHeader, ramdisk_image) == 0x218 - SetupHeader::kOffset);
static_assert(offsetof(SetupHeader, xloadflags) == 0x236 - SetupHeader::kOffset);
static_assert(offsetof(SetupHeader, pref_address) == 0x258 - SetupHeader::kOffset);
static_assert(std::is_trivially_copyable_v<SetupHeader>);

inline constexpr std::uint16_t kProtocolInitSize = 0x020a;  ///< pref_address, init_size
inline constexpr std::uint16_t kProtocolXloadflags = 0x020c;
inline constexpr std::uint16_t kProtocolCurrent = 0x020f;

inline constexpr std::uint8_t kLoaderUndefined = 0xff;
inline constexpr std::uint8_t kLoadedHigh = 1U << 0;           ///< loadflags
inline constexpr std::uint16_t kXlfKernel64 = 1U << 0;         ///< 64-bit entry at 0x200
inline constexpr std::uint16_t kXlfLoadableAbove4G = 1U << 1;  ///< also the initrd
inline constexpr std::uint64_t kEntry64Offset = 0x200;
inline constexpr std::uint32_t kSectorSize = 512;
inline constexpr std::uint8_t kDefaultSetupSectors = 4;

/// INT 15h, AX=E820h (ACPI 6.5, 15.1), as the zero page holds it.
struct [[gnu::packed]] E820Entry {
    std::uint64_t address;
    std::uint64_t size;
    std::uint32_t type;
};
static_assert(sizeof(E820Entry) == 20);

/// Linux boot_params, the "zero page".
struct [[gnu::packed]] BootParams {
    std::array<std::uint8_t, 0x70> screen_and_apm;
    std::uint64_t acpi_rsdp_addr;
    std::array<std::uint8_t, 0x48> reserved_78;
    std::uint32_t ext_ramdisk_image;  ///< upper halves of the fields of the setup header
    std::uint32_t ext_ramdisk_size;
    std::uint32_t ext_cmd_line_ptr;
    std::array<std::uint8_t, 0x11c> reserved_cc;
    std::uint8_t e820_entries;
    std::array<std::uint8_t, 8> reserved_1e9;  ///< the sentinel at 0x1ef stays 0
    SetupHeader header;
    std::array<std::uint8_t, 0x2d0 - 0x26c> reserved_26c;
    std::array<E820Entry, 128> e820_table;
    std::array<std::uint8_t, 0x1000 - 0xcd0> reserved_cd0;
};
static_assert(sizeof(BootParams) == 4096);
static_assert(offsetof(BootParams, acpi_rsdp_addr) == 0x70);
static_assert(offsetof(BootParams, ext_ramdisk_image) == 0xc0);
static_assert(offsetof(BootParams, e820_entries) == 0x1e8);
static_assert(offsetof(BootParams, header) == SetupHeader::kOffset);
static_assert(offsetof(BootParams, e820_table) == 0x2d0);
static_assert(std::is_trivially_copyable_v<BootParams>);

/// One link of the setup_data chain; the data follow.
struct [[gnu::packed]] SetupData {
    static constexpr std::uint32_t kRngSeed = 9;  ///< Linux 6.0; older kernels pass over it

    std::uint64_t next;
    std::uint32_t type;
    std::uint32_t length;
};
static_assert(sizeof(SetupData) == 16);

/// PVH start info: the guest gets its physical address in EBX.
struct StartInfo {
    static constexpr std::uint32_t kMagic = 0x336ec578;
    static constexpr std::uint32_t kVersion = 1;

    std::uint32_t magic;
    std::uint32_t version;
    std::uint32_t flags;
    std::uint32_t module_count;
    std::uint64_t module_list;
    std::uint64_t command_line;
    std::uint64_t rsdp;
    std::uint64_t memory_map;
    std::uint32_t memory_map_count;
    std::uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56 && std::has_unique_object_representations_v<StartInfo>);

struct StartInfoModule {
    std::uint64_t address;
    std::uint64_t size;
    std::uint64_t command_line;
    std::uint64_t reserved;
};
static_assert(sizeof(StartInfoModule) == 32);

struct StartInfoMemory {
    std::uint64_t address;
    std::uint64_t size;
    std::uint32_t type;  ///< as in E820
    std::uint32_t reserved;
};
static_assert(sizeof(StartInfoMemory) == 24 &&
              std::has_unique_object_representations_v<StartInfoMemory>);

// ELF notes of owner "Xen" (xen/include/public/elfnote.h).
inline constexpr std::uint32_t kXenNoteGuestOs = 6;
inline constexpr std::uint32_t kXenNotePhys32Entry = 18;

/// Where x86-64 Linux links its text: virtual minus physical address (__START_KERNEL_map).
inline constexpr std::uint64_t kLinuxKernelMap = 0xffff'ffff'8000'0000;
/// Longest command line of x86 Linux without the NUL (COMMAND_LINE_SIZE - 1), for files that do
/// not say it.
inline constexpr std::uint32_t kLinuxCommandLineSize = 2047;
/// Last address for an initrd, for files that do not say it.
inline constexpr std::uint32_t kLinuxInitrdLast = 0x7fff'ffff;

}  // namespace cxlvm::boot
