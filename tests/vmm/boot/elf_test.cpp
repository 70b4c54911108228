// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/elf.hpp"

#include <cstring>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::memory_of;

using test::Bytes;
using test::bytes_of;
using test::ElfSpec;
using test::input_error;
using test::linux_like;
using test::make_elf32;
using test::make_elf64;
using test::make_note;
using test::make_pvh_note;
using testing::HasSubstr;

constexpr std::uint64_t kText = 0x20'0000;

KernelImage parse(const Bytes& file) {
    return parse_elf(Image(file, "vmlinux"));
}

std::string failure(const Bytes& file) {
    return input_error([&] { (void)parse(file); });
}

/// Changes one field of the file's header or of one program header.
template <typename T, typename Change>
Bytes changed(Bytes file, std::size_t offset, Change change) {
    T value;
    std::memcpy(&value, file.data() + offset, sizeof(value));
    change(value);
    std::memcpy(file.data() + offset, &value, sizeof(value));
    return file;
}

template <typename Change>
Bytes with_header(Change change) {
    return changed<Elf64_Ehdr>(make_elf64(linux_like()), 0, change);
}

template <typename Change>
Bytes with_program_header(std::size_t index, Change change) {
    return changed<Elf64_Phdr>(make_elf64(linux_like()),
                               sizeof(Elf64_Ehdr) + index * sizeof(Elf64_Phdr), change);
}

TEST(ParseElf, FindsSegmentsAndEntry) {
    const KernelImage kernel = parse(make_elf64(linux_like()));
    ASSERT_EQ(kernel.segments.size(), 2U);
    EXPECT_EQ(kernel.segments[0].address, Gpa(kText));
    EXPECT_EQ(kernel.segments[0].file_size, kernel.segments[0].memory_size);
    EXPECT_EQ(kernel.segments[1].file_size, 8192U);
    EXPECT_EQ(kernel.segments[1].memory_size, 0x1'0000U);
    EXPECT_EQ(kernel.entry64, Gpa(kText));
    EXPECT_EQ(kernel.pvh_entry, std::nullopt);
    EXPECT_EQ(extent(kernel), *GpaRange::between(Gpa(kText), Gpa(0x23'007f)));
}

TEST(ParseElf, TellsWhatTheKernelOnlyReads) {
    for (const auto& [access, constant] :
         {std::pair{PF_R, true}, {PF_R | PF_W, false}, {PF_R | PF_X, false}, {0, false}}) {
        ElfSpec spec = linux_like();
        spec.segments[1].access = static_cast<std::uint32_t>(access);
        EXPECT_EQ(parse(make_elf64(spec)).segments[1].constant, constant) << access;
    }
}

TEST(ParseElf, SortsSegmentsByAddress) {
    ElfSpec spec = linux_like();
    std::swap(spec.segments[0], spec.segments[1]);
    const KernelImage kernel = parse(make_elf64(spec));
    EXPECT_LT(kernel.segments[0].address, kernel.segments[1].address);
}

TEST(ParseElf, ConvertsAVirtualEntryPoint) {
    ElfSpec spec = linux_like();
    spec.entry = kLinuxKernelMap + kText + 16;
    EXPECT_EQ(parse(make_elf64(spec)).entry64, Gpa(kText + 16));
}

TEST(ParseElf, RecognisesLinuxByTheAddressesItIsLinkedAt) {
    EXPECT_TRUE(parse(make_elf64(linux_like())).is_linux);
}

TEST(ParseElf, RecognisesLinuxByItsNotes) {
    ElfSpec spec = linux_like();
    for (auto& segment : spec.segments) {
        segment.virtual_address = segment.physical_address;
    }
    EXPECT_FALSE(parse(make_elf64(spec)).is_linux);
    spec.notes = make_note("Linux", 0x100, bytes_of("salt"));
    EXPECT_TRUE(parse(make_elf64(spec)).is_linux);
    spec.notes = make_note("Xen", kXenNoteGuestOs, bytes_of("linux"));
    EXPECT_TRUE(parse(make_elf64(spec)).is_linux);
}

TEST(ParseElf, DoesNotTakeAnotherSystemForLinux) {
    ElfSpec spec = linux_like();
    spec.notes = make_note("Xen", kXenNoteGuestOs, bytes_of("FreeBSD"));
    EXPECT_FALSE(parse(make_elf64(spec)).is_linux);
}

TEST(ParseElf, FindsThePvhEntryBehindOtherNotes) {
    ElfSpec spec = linux_like();
    spec.notes = make_note("GNU", 3, test::pattern(20));
    const Bytes pvh = make_pvh_note(kText + 0x80);
    spec.notes.insert(spec.notes.end(), pvh.begin(), pvh.end());
    EXPECT_EQ(parse(make_elf64(spec)).pvh_entry, Gpa(kText + 0x80));
}

TEST(ParseElf, PassesOverDamagedNotes) {
    ElfSpec spec = linux_like();
    spec.notes = make_note("Xen", kXenNotePhys32Entry, test::pattern(7));
    EXPECT_EQ(parse(make_elf64(spec)).pvh_entry, std::nullopt);
    spec.notes = Bytes(12, std::byte{0xff});  // sizes of 4 GiB
    EXPECT_EQ(parse(make_elf64(spec)).pvh_entry, std::nullopt);
    spec.notes = Bytes(5, std::byte{1});
    EXPECT_EQ(parse(make_elf64(spec)).pvh_entry, std::nullopt);
}

TEST(ParseElf, TakesA32BitFileForItsPvhEntry) {
    ElfSpec spec = linux_like();
    spec.machine = EM_386;
    EXPECT_THAT(failure(make_elf32(spec)), HasSubstr("32-bit ELF file without a PVH entry"));
    spec.notes = make_pvh_note(kText);
    const KernelImage kernel = parse(make_elf32(spec));
    EXPECT_EQ(kernel.pvh_entry, Gpa(kText));
    EXPECT_EQ(kernel.entry64, std::nullopt);
    EXPECT_FALSE(kernel.is_linux);
}

struct BadElf {
    const char* name;
    Bytes file;
    const char* message;
};

std::vector<BadElf> bad_files() {
    ElfSpec overlap = linux_like();
    overlap.segments[1].physical_address = kText + 4096;
    ElfSpec entry = linux_like();
    entry.entry = 0x10;
    ElfSpec pvh = linux_like();
    pvh.notes = make_pvh_note(0x10);
    ElfSpec many = linux_like();
    for (std::uint64_t i = 0; i < kMaxSegments; ++i) {
        many.segments.push_back(
            {.physical_address = 0x100'0000 + i * 4096, .content = test::pattern(8)});
    }
    Bytes short_file = make_elf64(linux_like());
    short_file.resize(short_file.size() - 100);
    Bytes header_only = make_elf64(linux_like());
    header_only.resize(40);
    return {
        {"text", bytes_of("a text that is no ELF file"), "not an ELF file"},
        {"short header", header_only, "truncated"},
        {"short file", short_file, "truncated: a segment needs bytes"},
        {"big endian", with_header([](auto& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; }),
         "byte order"},
        {"class", with_header([](auto& h) { h.e_ident[EI_CLASS] = 9; }), "class 9"},
        {"arm64", with_header([](auto& h) { h.e_machine = EM_AARCH64; }), "for arm64 machines"},
        {"module", with_header([](auto& h) { h.e_type = ET_REL; }), "object file"},
        {"library", with_header([](auto& h) { h.e_type = ET_DYN; }), "position-independent"},
        {"no headers", with_header([](auto& h) { h.e_phnum = 0; }), "0 program headers"},
        {"too many headers", with_header([](auto& h) { h.e_phnum = 0xffff; }),
         "65535 program headers"},
        {"header size", with_header([](auto& h) { h.e_phentsize = 8; }), "of 8 bytes"},
        {"header offset", with_header([](auto& h) { h.e_phoff = ~0ULL - 8; }), "truncated"},
        {"file size over memory size", with_program_header(0, [](auto& p) { p.p_memsz = 1; }),
         "a segment of 1 bytes"},
        {"address overflow", with_program_header(0, [](auto& p) { p.p_paddr = ~0ULL - 10; }),
         "past the end of the address space"},
        {"offset overflow", with_program_header(0, [](auto& p) { p.p_offset = ~0ULL - 10; }),
         "truncated: a segment"},
        {"interpreter", with_program_header(1, [](auto& p) { p.p_type = PT_INTERP; }),
         "a program for Linux"},
        {"static program", with_program_header(1, [](auto& p) { p.p_type = PT_TLS; }),
         "a program for Linux"},
        {"note outside",
         with_program_header(1,
                             [](auto& p) {
                                 p.p_type = PT_NOTE;
                                 p.p_offset = 1U << 30;
                             }),
         "truncated"},
        {"overlap", make_elf64(overlap), "overlap"},
        {"entry", make_elf64(entry), "entry point 0x10 is in no segment"},
        {"pvh entry", make_elf64(pvh), "PVH entry 0x10 is in no segment"},
        {"many segments", make_elf64(many), "more than 64 segments"},
        {"nothing to load",
         changed<Elf64_Phdr>(with_program_header(0, [](auto& p) { p.p_type = PT_NULL; }),
                             sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                             [](auto& p) { p.p_type = PT_NULL; }),
         "nothing in it is to be loaded"},
    };
}

TEST(ParseElf, RefusesDamagedAndForeignFilesInOneLine) {
    for (const BadElf& bad : bad_files()) {
        SCOPED_TRACE(bad.name);
        EXPECT_THAT(failure(bad.file),
                    testing::AllOf(testing::StartsWith("vmlinux: "), HasSubstr(bad.message)));
    }
}

TEST(CheckPlacement, RefusesWhatIsNotRam) {
    const KernelImage kernel = parse(make_elf64(linux_like()));
    const GuestMemory enough(memory_of(4U << 20));
    EXPECT_NO_THROW(check_placement(kernel, enough, "vmlinux"));
    const GuestMemory small(memory_of(0x22'8000));  // ends within the second segment
    EXPECT_THAT(input_error([&] { check_placement(kernel, small, "vmlinux"); }),
                testing::AllOf(HasSubstr("needs 64 KiB at 0x220080"), HasSubstr("--memory")));
}

TEST(CheckPlacement, RefusesWhatOverlapsTheBootParameters) {
    ElfSpec spec = linux_like();
    spec.segments[0].physical_address = 0x8000;
    spec.entry = 0x8000;
    const KernelImage kernel = parse(make_elf64(spec));
    const GuestMemory memory(memory_of(4U << 20));
    EXPECT_THAT(input_error([&] { check_placement(kernel, memory, "vmlinux"); }),
                HasSubstr("below 1 MiB"));
}

TEST(CheckPlacement, RefusesWhatLiesAboveFourGibibytes) {
    ElfSpec spec = linux_like();
    spec.segments[1].physical_address = 0x1'0000'0000;
    const KernelImage kernel = parse(make_elf64(spec));
    const GuestMemory memory(memory_of(5ULL << 30));
    EXPECT_THAT(input_error([&] { check_placement(kernel, memory, "vmlinux"); }),
                HasSubstr("above 4 GiB"));
}

TEST(LoadSegments, PutsBytesWhereTheyBelongAndLeavesTheRestZero) {
    const ElfSpec spec = linux_like();
    const Bytes file = make_elf64(spec);
    const Image image(file, "vmlinux");
    GuestMemory memory(memory_of(4U << 20));
    load_segments(parse_elf(image), image, memory);
    for (const auto& segment : spec.segments) {
        Bytes loaded(segment.content.size() + 64);
        ASSERT_TRUE(memory.read(Gpa(segment.physical_address), loaded));
        EXPECT_TRUE(std::equal(segment.content.begin(), segment.content.end(), loaded.begin()));
        EXPECT_TRUE(std::all_of(loaded.end() - 64, loaded.end(),
                                [](std::byte byte) { return byte == std::byte{0}; }));
    }
}

}  // namespace
}  // namespace cxlvm::boot
