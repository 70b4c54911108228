// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "vmm/boot/boot_params.hpp"
#include "vmm/boot/bzimage.hpp"
#include "vmm/boot/cpu_tables.hpp"
#include "vmm/boot/elf.hpp"
#include "vmm/boot/foreign.hpp"
#include "vmm/boot/initrd.hpp"
#include "vmm/boot/unpacked_kernel.hpp"
#include "vmm/builtin_guest/builtin_guest.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

/// What one boot works with.
struct Job {
    const BootConfig& config;
    const Initrds& initrds;
    GuestMemory& memory;
    Gpa rsdp;
    io::Log& log;
};

/// A kernel that is in memory; what is left is to tell it about its world.
struct Placed {
    const std::string& name;
    SetupHeader header;  ///< its own, or one that says what its kind can do
    GpaRange occupied;
    Gpa entry;
    EntryState::Mode mode = EntryState::Mode::Long;
};

GuestInfo load_initrds_and_command_line(const Job& job, const Placed& kernel,
                                        std::uint64_t command_line_limit) {
    const InitrdLimits limits{.kernel = kernel.occupied,
                              .last = Gpa(kernel.header.initrd_addr_max),
                              .above_4g = (kernel.header.xloadflags & kXlfLoadableAbove4G) != 0};
    return {.command_line = command_line(job.config.cmdline, command_line_limit, kernel.name),
            .initrd = job.initrds.load(job.memory, limits),
            .rsdp = job.rsdp};
}

EntryState finish_linux(const Job& job, const Placed& kernel) {
    const GuestInfo info = load_initrds_and_command_line(job, kernel, kernel.header.cmdline_size);
    write_boot_params(kernel.header, info, job.memory);
    write_gdt(job.memory, kernel.mode);
    write_reset_vector(job.memory);
    write_page_tables(job.memory);
    return {.mode = kernel.mode,
            .entry = kernel.entry,
            .rsi = layout::kBootParams.value(),
            .rsp = layout::kBootStack.value()};
}

EntryState finish_pvh(const Job& job, const Placed& kernel, bool is_linux) {
    // Of other systems we know no limit but ours.
    const GuestInfo info = load_initrds_and_command_line(
        job, kernel, is_linux ? kLinuxCommandLineSize : layout::kCommandLineSize - 1);
    write_start_info(info, job.memory);
    write_gdt(job.memory, EntryState::Mode::Protected);
    write_reset_vector(job.memory);
    return {.mode = EntryState::Mode::Protected,
            .entry = kernel.entry,
            .rbx = layout::kBootParams.value(),
            .rsp = layout::kBootStack.value()};
}

/// Which entry of an ELF file is taken, or why there is none.
bool enters_by_pvh(const KernelImage& kernel, BootProtocol protocol, const std::string& name) {
    switch (protocol) {
        case BootProtocol::Pvh:
            if (!kernel.pvh_entry) {
                io::throw_input(name +
                                ": has no PVH entry (a kernel built with CONFIG_PVH has); "
                                "use --boot linux");
            }
            return true;
        case BootProtocol::Linux:
            if (!kernel.entry64) {
                io::throw_input(name + ": has no 64-bit entry; use --boot pvh");
            }
            return false;
        case BootProtocol::BzImage:
            io::throw_input(name + ": is an ELF file, not a bzImage; use --boot auto");
        case BootProtocol::Auto:
            break;
    }
    // The 64-bit entry is faster, but only Linux and guests of our own know it. A file that has no
    // PVH note can be nothing else.
    return kernel.pvh_entry && !(kernel.entry64 && kernel.is_linux);
}

struct Entered {
    EntryState entry;
    bool pvh;
};

/// Places and enters an ELF kernel. `name` is what the user gave: `file` may be one of the cache.
/// `header` is that of the bzImage it came from, if it did.
Entered load_kernel(const Job& job, const std::string& name, const Image& file,
                    const KernelImage& kernel, const SetupHeader& header) {
    const bool pvh = enters_by_pvh(kernel, job.config.protocol, name);
    check_placement(kernel, job.memory, name);
    load_segments(kernel, file, job.memory);
    Placed placed{.name = name,
                  .header = header,
                  .occupied = extent(kernel),
                  .entry = pvh ? *kernel.pvh_entry : *kernel.entry64};
    // A header's init_size reaches past the segments when the kernel needs room behind them.
    const auto wanted = GpaRange::of(placed.occupied.base(), header.init_size);
    if (wanted && wanted->last() > placed.occupied.last()) {
        placed.occupied = *wanted;
    }
    return {.entry = pvh ? finish_pvh(job, placed, kernel.is_linux) : finish_linux(job, placed),
            .pvh = pvh};
}

LoadedGuest load_elf(const Job& job, const Image& file) {
    const KernelImage kernel = parse_elf(file);
    const Entered entered = load_kernel(job, file.name(), file, kernel, setup_header_for_elf());
    return {.entry = entered.entry, .format = entered.pvh ? "PVH" : "vmlinux"};
}

LoadedGuest load_unpacked(const Job& job, const Image& file, const BzImage& image) {
    const UnpackedKernel unpacked = unpack_kernel(file, image, job.config.cache, job.log);
    if (!unpacked.kernel.entry64) {
        io::throw_input(file.name() +
                        ": its payload is a 32-bit kernel under a 64-bit header; "
                        "build it again");
    }
    const Entered entered =
        load_kernel(job, file.name(), unpacked.file, unpacked.kernel, image.header);
    return {.entry = entered.entry,
            .format = fmt::format("bzImage ({}), unpacked{}", to_string(*image.format),
                                  entered.pvh ? ", PVH" : ""),
            .from_cache = unpacked.from_cache};
}

/// By the image's own decompressor.
LoadedGuest load_packed(const Job& job, const Image& file, const BzImage& image) {
    const auto place = place_bzimage(image.header, job.memory);
    if (!place) {
        io::throw_input(fmt::format(
            "{}: the kernel needs {} of memory at {:#x} to unpack itself, and the guest has {}; "
            "give it more with --memory",
            file.name(), host::format_size(image.header.init_size), +image.header.pref_address,
            host::format_size(job.memory.size())));
    }
    file.load(job.memory, place->base(), image.code.offset, image.code.size);
    const bool is_64bit = image.is_64bit();
    Placed placed{.name = file.name(),
                  .header = image.header,
                  .occupied = *place,
                  .entry = Gpa(place->base().value() + (is_64bit ? kEntry64Offset : 0)),
                  .mode = is_64bit ? EntryState::Mode::Long : EntryState::Mode::Protected};
    placed.header.code32_start = static_cast<std::uint32_t>(place->base().value());
    return {.entry = finish_linux(job, placed),
            .format = fmt::format("bzImage ({})",
                                  image.format ? to_string(*image.format) : "unknown payload")};
}

/// Why the kernel cannot be entered directly in this guest.
std::optional<std::string> reason_against_direct_entry(const BzImage& image,
                                                       const GuestMemory& memory) {
    if (auto reason = reason_against_unpacking(image)) {
        return reason;
    }
    // Unpacked it must lie where it is linked: the relocations are the decompressor's work.
    if (!memory.span(Gpa(image.header.pref_address), image.unpacked_size)) {
        return fmt::format("{} at {:#x}, where it is linked, are not in the guest's memory",
                           host::format_size(image.unpacked_size), +image.header.pref_address);
    }
    return std::nullopt;
}

LoadedGuest load_bzimage(const Job& job, const Image& file) {
    const BzImage image = parse_bzimage(file);
    if (job.config.protocol == BootProtocol::BzImage) {
        return load_packed(job, file, image);
    }
    const auto reason = reason_against_direct_entry(image, job.memory);
    if (!reason) {
        return load_unpacked(job, file, image);
    }
    if (job.config.protocol != BootProtocol::Auto) {
        io::throw_input(fmt::format("{}: cannot be entered directly: {}; use --boot bzimage",
                                    file.name(), *reason));
    }
    LoadedGuest guest = load_packed(job, file, image);
    job.log.info("{}: its own decompressor is used: {}", file.name(), *reason);
    return guest;
}

[[noreturn]] void throw_foreign(const Image& file) {
    std::array<std::byte, kForeignMagicSize> start{};
    const auto bytes = std::span(start).first(std::min<std::uint64_t>(start.size(), file.size()));
    file.read(0, bytes);
    io::throw_input(fmt::format("{} {}", file.name(), describe_foreign(bytes)));
}

bool is_elf(const Image& file) {
    constexpr std::string_view kMagic =
        "\x7f"
        "ELF";
    std::array<char, kMagic.size()> start{};
    if (file.size() < start.size()) {
        return false;
    }
    file.read(0, std::as_writable_bytes(std::span(start)));
    return std::string_view(start.data(), start.size()) == kMagic;
}

}  // namespace

LoadedGuest load_elf_image(std::span<const std::byte> bytes, const std::string& name,
                           const BootConfig& config, GuestMemory& memory, Gpa rsdp) {
    io::Log silent(-1, io::LogLevel::Off);
    const Initrds initrds(config.initrds);
    const Job job{
        .config = config, .initrds = initrds, .memory = memory, .rsdp = rsdp, .log = silent};
    return load_elf(job, Image(bytes, name));
}

LoadedGuest load(const BootConfig& config, GuestMemory& memory, Gpa rsdp, io::Log& log) {
    if (config.kernel.empty()) {
        LoadedGuest guest =
            load_elf_image(builtin_guest(), "the built-in guest", config, memory, rsdp);
        guest.format = "built-in guest";
        return guest;
    }
    // The initrds come first: a name that is wrong shows before a kernel is unpacked.
    const Initrds initrds(config.initrds);
    const Image file = Image::open(config.kernel, "--kernel");
    const Job job{.config = config, .initrds = initrds, .memory = memory, .rsdp = rsdp, .log = log};
    if (is_elf(file)) {
        return load_elf(job, file);
    }
    if (is_bzimage(file)) {
        return load_bzimage(job, file);
    }
    throw_foreign(file);
}

}  // namespace cxlvm::boot
