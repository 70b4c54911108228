// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/boot_params.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/boot/low_memory.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::uint64_t kOldCommandLineSize = 255;  ///< of kernels that give no size
constexpr std::size_t kSeedSize = 32;

constexpr std::uint32_t low_half(std::uint64_t value) noexcept {
    return static_cast<std::uint32_t>(value);
}

constexpr std::uint32_t high_half(std::uint64_t value) noexcept {
    return static_cast<std::uint32_t>(value >> 32);
}

void write_command_line(const std::string& text, GuestMemory& memory) {
    put(memory, layout::kCommandLine, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
}

/// Lets the guest's random numbers be good from the start. The kernel wipes it after use.
void write_seed(GuestMemory& memory) {
    std::array<std::byte, kSeedSize> seed;
    if (io::retry_eintr([&] { return ::getrandom(seed.data(), seed.size(), 0); }) !=
        static_cast<ssize_t>(seed.size())) {
        io::throw_errno("getrandom");
    }
    const SetupData data{.next = 0, .type = SetupData::kRngSeed, .length = kSeedSize};
    put(memory, layout::kSetupData, data);
    put(memory, Gpa(layout::kSetupData.value() + sizeof(data)), seed);
}

}  // namespace

std::string command_line(const std::optional<std::string>& configured, std::uint64_t limit,
                         const std::string& kernel) {
    std::string given = configured.value_or(std::string(kDefaultCommandLine));
    if (given.find('\0') != std::string::npos) {
        io::throw_input("--cmdline: holds a NUL byte, which would end it; remove it");
    }
    const std::uint64_t most =
        std::min(limit == 0 ? kOldCommandLineSize : limit, layout::kCommandLineSize - 1);
    if (given.size() > most) {
        io::throw_input(fmt::format("--cmdline: has {} bytes, and {} takes at most {}; shorten it",
                                    given.size(), kernel, most));
    }
    return given;
}

SetupHeader setup_header_for_elf() noexcept {
    SetupHeader header{};
    header.boot_flag = SetupHeader::kBootFlag;
    header.header = SetupHeader::kMagic;
    header.version = kProtocolCurrent;
    header.loadflags = kLoadedHigh;
    header.initrd_addr_max = kLinuxInitrdLast;
    header.xloadflags = kXlfKernel64 | kXlfLoadableAbove4G;
    header.cmdline_size = kLinuxCommandLineSize;
    return header;
}

void write_boot_params(const SetupHeader& header, const GuestInfo& info, GuestMemory& memory) {
    BootParams params{};
    params.acpi_rsdp_addr = info.rsdp.value();
    params.header = header;
    params.header.type_of_loader = kLoaderUndefined;
    params.header.loadflags = kLoadedHigh;
    params.header.cmd_line_ptr = low_half(layout::kCommandLine.value());
    if (info.initrd) {
        const std::uint64_t base = info.initrd->base().value();
        const std::uint64_t size = info.initrd->size();
        params.header.ramdisk_image = low_half(base);
        params.ext_ramdisk_image = high_half(base);
        params.header.ramdisk_size = low_half(size);
        params.ext_ramdisk_size = high_half(size);
    }
    params.header.setup_data = layout::kSetupData.value();
    write_seed(memory);

    const std::vector<MemoryMapEntry> map = memory_map(memory);
    io::check(map.size() <= params.e820_table.size(), "write_boot_params: the map is too long");
    params.e820_entries = static_cast<std::uint8_t>(map.size());
    std::transform(map.begin(), map.end(), params.e820_table.begin(),
                   [](const MemoryMapEntry& entry) {
                       return E820Entry{.address = entry.range.base().value(),
                                        .size = entry.range.size(),
                                        .type = io::to_underlying(entry.type)};
                   });
    put(memory, layout::kBootParams, params);
    write_command_line(info.command_line, memory);
}

void write_start_info(const GuestInfo& info, GuestMemory& memory) {
    const std::vector<MemoryMapEntry> map = memory_map(memory);
    const std::uint64_t module_list = layout::kBootParams.value() + sizeof(StartInfo);
    const std::uint64_t memory_list = module_list + sizeof(StartInfoModule);
    io::check(memory_list + map.size() * sizeof(StartInfoMemory) <= layout::kBootStack.value(),
              "write_start_info: the map is too long");
    StartInfo start{};
    start.magic = StartInfo::kMagic;
    start.version = StartInfo::kVersion;
    start.command_line = layout::kCommandLine.value();
    start.rsdp = info.rsdp.value();
    start.memory_map = memory_list;
    start.memory_map_count = static_cast<std::uint32_t>(map.size());
    if (info.initrd) {
        start.module_count = 1;
        start.module_list = module_list;
        put(memory, Gpa(module_list),
            StartInfoModule{.address = info.initrd->base().value(),
                            .size = info.initrd->size(),
                            .command_line = 0,
                            .reserved = 0});
    }
    std::uint64_t address = memory_list;
    for (const MemoryMapEntry& entry : map) {
        put(memory, Gpa(address),
            StartInfoMemory{.address = entry.range.base().value(),
                            .size = entry.range.size(),
                            .type = io::to_underlying(entry.type),
                            .reserved = 0});
        address += sizeof(StartInfoMemory);
    }
    put(memory, layout::kBootParams, start);
    write_command_line(info.command_line, memory);
}

}  // namespace cxlvm::boot
