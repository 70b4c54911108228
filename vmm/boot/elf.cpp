// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/elf.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "vmm/boot/elf_sections.hpp"
#include "vmm/boot/spec.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::size_t kMaxProgramHeaders = 256;
/// Kernels have some hundred bytes of notes; more than this is not looked at.
constexpr std::uint64_t kMaxNoteSize = 0x1'0000;

struct Elf32 {
    using Header = Elf32_Ehdr;
    using ProgramHeader = Elf32_Phdr;
    static constexpr std::uint16_t kMachine = EM_386;
};

struct Elf64 {
    using Header = Elf64_Ehdr;
    using ProgramHeader = Elf64_Phdr;
    static constexpr std::uint16_t kMachine = EM_X86_64;
};

/// What the notes say.
struct Notes {
    bool linux_owner = false;
    bool linux_guest_os = false;
    bool other_guest_os = false;
    std::optional<std::uint64_t> pvh_entry;
};

[[noreturn]] void damaged(const Image& file, std::string_view why) {
    io::throw_input(
        fmt::format("{}: damaged ELF file: {}; build or copy it again", file.name(), why));
}

template <typename T>
T read_struct(const Image& file, std::uint64_t offset) {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    file.read(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
}

const char* describe_machine(std::uint16_t machine) noexcept {
    switch (machine) {
        case EM_386:
            return "32-bit x86";
        case EM_X86_64:
            return "x86-64";
        case EM_ARM:
            return "Arm";
        case EM_AARCH64:
            return "arm64";
        case EM_RISCV:
            return "RISC-V";
        case EM_PPC64:
            return "POWER";
        case EM_S390:
            return "s390";
        default:
            return "another";
    }
}

template <typename Format>
void check_header(const Image& file, const typename Format::Header& header) {
    if (header.e_machine != Format::kMachine) {
        io::throw_input(fmt::format("{}: an ELF file for {} machines ({}); give an x86-64 kernel",
                                    file.name(), describe_machine(header.e_machine),
                                    header.e_machine));
    }
    if (header.e_type != ET_EXEC) {
        io::throw_input(
            fmt::format("{}: {}, not a kernel: give a bzImage, or an ELF file linked at fixed "
                        "addresses (vmlinux)",
                        file.name(),
                        header.e_type == ET_DYN ? "a position-independent program or shared object"
                        : header.e_type == ET_REL ? "an object file or kernel module"
                                                  : "an ELF file without an entry"));
    }
    if (header.e_phnum == 0 || header.e_phnum > kMaxProgramHeaders ||
        header.e_phentsize != sizeof(typename Format::ProgramHeader)) {
        damaged(file,
                fmt::format("{} program headers of {} bytes", header.e_phnum, header.e_phentsize));
    }
}

/// The notes of one PT_NOTE segment (ELF gABI, "Note Section").
void read_notes(const Image& file, std::uint64_t offset, std::uint64_t size,
                std::uint64_t alignment, Notes& notes) {
    if (size > kMaxNoteSize) {
        return;
    }
    std::vector<std::byte> bytes(size);
    file.read(offset, bytes);
    const std::size_t step = alignment == 8 ? 8 : 4;
    std::span<const std::byte> rest = bytes;
    const auto take = [&](std::size_t count) -> std::span<const std::byte> {
        const auto part = rest.first(std::min(count, rest.size()));
        rest = rest.subspan(std::min(io::align_up(count, step), rest.size()));
        return part;
    };
    while (rest.size() >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr header;
        std::memcpy(&header, take(sizeof(header)).data(), sizeof(header));
        if (header.n_namesz > rest.size() || header.n_descsz > rest.size()) {
            return;
        }
        const auto name_bytes = take(header.n_namesz);
        const auto data = take(header.n_descsz);
        const auto text_of = [](std::span<const std::byte> text) {
            const std::string_view all(reinterpret_cast<const char*>(text.data()), text.size());
            return all.substr(0, all.find('\0'));
        };
        const std::string_view owner = text_of(name_bytes);
        if (owner == "Linux") {
            notes.linux_owner = true;
        } else if (owner == "Xen" && header.n_type == kXenNoteGuestOs) {
            (text_of(data) == "linux" ? notes.linux_guest_os : notes.other_guest_os) = true;
        } else if (owner == "Xen" && header.n_type == kXenNotePhys32Entry &&
                   (data.size() == 4 || data.size() == 8)) {
            std::uint64_t entry = 0;
            std::memcpy(&entry, data.data(), data.size());
            notes.pvh_entry = entry;
        }
    }
}

bool in_segment(const std::vector<Segment>& segments, std::uint64_t address) noexcept {
    return std::any_of(segments.begin(), segments.end(), [&](const Segment& segment) {
        return address >= segment.address.value() &&
               address - segment.address.value() < segment.memory_size;
    });
}

template <typename ProgramHeader>
void add_segment(const Image& file, const ProgramHeader& header,
                 const std::vector<Section>& sections, KernelImage& kernel) {
    if (header.p_memsz == 0) {
        return;
    }
    if (header.p_filesz > header.p_memsz) {
        damaged(file,
                fmt::format("a segment of {} bytes holds {}", +header.p_memsz, +header.p_filesz));
    }
    if (!io::checked_add<std::uint64_t>(header.p_paddr, header.p_memsz)) {
        damaged(file, "a segment reaches past the end of the address space");
    }
    if (header.p_offset > file.size() || header.p_filesz > file.size() - header.p_offset) {
        io::throw_input(
            fmt::format("{}: truncated: a segment needs bytes {:#x} to {:#x}, the file "
                        "has {:#x}; copy it again",
                        file.name(), +header.p_offset,
                        // Only printed: a wrapped end is as wrong as a large one.
                        header.p_offset + header.p_filesz, file.size()));
    }
    constexpr auto kAccess = PF_R | PF_W | PF_X;
    const Segment segment{.address = Gpa(header.p_paddr),
                          .offset = header.p_offset,
                          .file_size = header.p_filesz,
                          .memory_size = header.p_memsz,
                          .constant = (header.p_flags & kAccess) == PF_R};
    const std::vector<Segment> parts =
        split_by_sections(segment, (header.p_flags & PF_W) != 0, sections);
    if (parts.size() > kMaxSegments - kernel.segments.size()) {
        damaged(file, fmt::format("more than {} segments", kMaxSegments));
    }
    kernel.segments.insert(kernel.segments.end(), parts.begin(), parts.end());
}

void sort_segments(const Image& file, std::vector<Segment>& segments) {
    if (segments.empty()) {
        damaged(file, "nothing in it is to be loaded");
    }
    std::sort(segments.begin(), segments.end(),
              [](const Segment& a, const Segment& b) { return a.address < b.address; });
    for (std::size_t i = 1; i < segments.size(); ++i) {
        const Segment& before = segments[i - 1];
        if (before.address.value() + before.memory_size > segments[i].address.value()) {
            damaged(file, fmt::format("its segments at {} and {} overlap", before.address,
                                      segments[i].address));
        }
    }
}

/// Where the entry point is in physical memory, and whether its segment is linked as Linux's text.
struct Entry {
    std::optional<std::uint64_t> address;
    bool in_kernel_map = false;
};

/// Linux gives a physical address; other kernels may give a virtual one.
template <typename ProgramHeader>
Entry find_entry(std::span<const ProgramHeader> headers, std::uint64_t entry) {
    for (const bool is_physical : {true, false}) {
        for (const ProgramHeader& header : headers) {
            const std::uint64_t base = is_physical ? header.p_paddr : header.p_vaddr;
            if (header.p_type == PT_LOAD && entry >= base && entry - base < header.p_memsz) {
                const std::uint64_t distance =
                    std::uint64_t{header.p_vaddr} - std::uint64_t{header.p_paddr};
                return {.address = header.p_paddr + (entry - base),
                        .in_kernel_map = is_physical && distance == kLinuxKernelMap};
            }
        }
    }
    return {};
}

template <typename Format>
KernelImage parse(const Image& file) {
    using ProgramHeader = typename Format::ProgramHeader;
    const auto header = read_struct<typename Format::Header>(file, 0);
    check_header<Format>(file, header);
    std::vector<ProgramHeader> headers(header.e_phnum);
    file.read(header.e_phoff, std::as_writable_bytes(std::span(headers)));

    std::vector<Section> sections;
    if constexpr (std::is_same_v<Format, Elf64>) {
        sections = loaded_sections(file, header);
    }
    KernelImage kernel;
    Notes notes;
    for (const ProgramHeader& program_header : headers) {
        switch (program_header.p_type) {
            case PT_LOAD:
                add_segment(file, program_header, sections, kernel);
                break;
            case PT_NOTE:
                read_notes(file, program_header.p_offset, program_header.p_filesz,
                           program_header.p_align, notes);
                break;
            case PT_INTERP:  // linked dynamically
            case PT_TLS:     // or statically: no kernel has thread-local storage
                io::throw_input(file.name() +
                                ": a program for Linux, not a kernel: give a bzImage or a vmlinux");
            default:
                break;
        }
    }
    sort_segments(file, kernel.segments);

    if (notes.pvh_entry) {
        if (!in_segment(kernel.segments, *notes.pvh_entry)) {
            damaged(file, fmt::format("its PVH entry {:#x} is in no segment", *notes.pvh_entry));
        }
        kernel.pvh_entry = Gpa(*notes.pvh_entry);
    }
    if (std::is_same_v<Format, Elf64>) {
        const Entry entry = find_entry<ProgramHeader>(headers, header.e_entry);
        if (entry.address) {
            kernel.entry64 = Gpa(*entry.address);
        } else if (!kernel.pvh_entry) {
            damaged(file, fmt::format("its entry point {:#x} is in no segment", +header.e_entry));
        }
        kernel.is_linux = entry.address && (notes.linux_owner || notes.linux_guest_os ||
                                            (entry.in_kernel_map && !notes.other_guest_os));
    } else if (!kernel.pvh_entry) {
        io::throw_input(file.name() +
                        ": a 32-bit ELF file without a PVH entry: give its bzImage, or an x86-64 "
                        "kernel");
    }
    return kernel;
}

}  // namespace

KernelImage parse_elf(const Image& file) {
    const auto ident = read_struct<std::array<unsigned char, EI_NIDENT>>(file, 0);
    if (std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0) {
        io::throw_input(file.name() + ": not an ELF file");
    }
    if (ident[EI_DATA] != ELFDATA2LSB || ident[EI_VERSION] != EV_CURRENT) {
        io::throw_input(file.name() + ": an ELF file of another byte order; give an x86-64 kernel");
    }
    switch (ident[EI_CLASS]) {
        case ELFCLASS64:
            return parse<Elf64>(file);
        case ELFCLASS32:
            return parse<Elf32>(file);
        default:
            damaged(file, fmt::format("class {}", ident[EI_CLASS]));
    }
}

GpaRange extent(const KernelImage& kernel) {
    const Segment& first = kernel.segments.front();
    const Segment& last = kernel.segments.back();
    const auto range =
        GpaRange::between(first.address, Gpa(last.address.value() + last.memory_size - 1));
    io::check(range.has_value(), "extent: the segments are not sorted");
    return *range;
}

void check_placement(const KernelImage& kernel, const GuestMemory& memory,
                     const std::string& name) {
    for (const Segment& segment : kernel.segments) {
        if (segment.address < layout::kHighMemory) {
            io::throw_input(
                fmt::format("{}: a segment lies at {}, below 1 MiB, which belongs to "
                            "the boot parameters; link the kernel higher",
                            name, segment.address));
        }
        // Nothing else is mapped, or reachable in 32-bit mode, at the entry.
        if (segment.address.value() + segment.memory_size > layout::kHighRam.value()) {
            io::throw_input(
                fmt::format("{}: a segment of {} at {} ends above 4 GiB, where no kernel "
                            "can be entered; link the kernel lower",
                            name, host::format_size(segment.memory_size), segment.address));
        }
        if (!memory.span(segment.address, segment.memory_size)) {
            io::throw_input(
                fmt::format("{}: the kernel needs {} at {}, and the guest has {} of "
                            "memory up to {}; give it more with --memory",
                            name, host::format_size(segment.memory_size), segment.address,
                            host::format_size(memory.size()), memory.last()));
        }
    }
}

void load_segments(const KernelImage& kernel, const Image& file, GuestMemory& memory) {
    // What is mapped comes first: mapping into a huge page that a copy has made would split it.
    for (const bool constant : {true, false}) {
        for (const Segment& segment : kernel.segments) {
            if (segment.constant == constant) {
                file.load(memory, segment.address, segment.offset, segment.file_size,
                          constant ? Placement::Mapped : Placement::Copied);
            }
        }
    }
}

}  // namespace cxlvm::boot
