// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/elf_sections.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm::boot {
namespace {

using test::Bytes;
using test::linux_like;
using test::make_elf64;

constexpr std::uint64_t kPage = 4096;

/// A file of one segment that may be executed, with these section headers behind it.
Bytes with_sections(const std::vector<Elf64_Shdr>& sections) {
    Bytes file = make_elf64(linux_like());
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof(header));
    header.e_shoff = file.size();
    header.e_shnum = static_cast<std::uint16_t>(sections.size());
    header.e_shentsize = sizeof(Elf64_Shdr);
    std::memcpy(file.data(), &header, sizeof(header));
    const auto bytes = std::as_bytes(std::span(sections));
    file.insert(file.end(), bytes.begin(), bytes.end());
    return file;
}

Elf64_Shdr section(std::uint64_t offset, std::uint64_t size,
                   std::uint64_t flags = SHF_ALLOC | SHF_EXECINSTR) {
    Elf64_Shdr header{};
    header.sh_type = SHT_PROGBITS;
    header.sh_flags = flags;
    header.sh_offset = offset;
    header.sh_size = size;
    return header;
}

std::vector<Section> sections_of(const Bytes& file) {
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof(header));
    return loaded_sections(Image(file, "vmlinux"), header);
}

Bytes with_header(Bytes file, void (*change)(Elf64_Ehdr&)) {
    Elf64_Ehdr header;
    std::memcpy(&header, file.data(), sizeof(header));
    change(header);
    std::memcpy(file.data(), &header, sizeof(header));
    return file;
}

TEST(LoadedSections, AreThoseWithBytesInMemoryByAscendingOffset) {
    Elf64_Shdr empty_in_file = section(0x4000, 0x100);
    empty_in_file.sh_type = SHT_NOBITS;
    const auto sections = sections_of(with_sections(
        {Elf64_Shdr{}, section(0x3000, 0x100, SHF_ALLOC | SHF_WRITE), section(0x1000, 0x20),
         section(0x2000, 1, SHF_ALLOC), section(0x2800, 0x100, 0), empty_in_file}));
    ASSERT_EQ(sections.size(), 3U);
    EXPECT_EQ(sections[0].offset, 0x1000U);
    EXPECT_EQ(sections[0].size, 0x20U);
    EXPECT_TRUE(sections[0].is_code);
    EXPECT_FALSE(sections[1].is_code);
    EXPECT_FALSE(sections[1].is_writable);
    EXPECT_TRUE(sections[2].is_writable);
}

TEST(LoadedSections, AreNoneWhereTheHeadersCannotBeBelieved) {
    const Bytes file = with_sections({section(0x1000, 0x20)});
    ASSERT_EQ(sections_of(file).size(), 1U);
    EXPECT_TRUE(sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shoff += 1; })).empty());
    EXPECT_TRUE(sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shoff = ~0ULL; })).empty());
    EXPECT_TRUE(sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shnum = 2; })).empty());
    EXPECT_TRUE(sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shentsize = 40; })).empty());
    EXPECT_TRUE(sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shnum = 0xffff; })).empty());
    EXPECT_TRUE(sections_of(with_sections({section(~0ULL - 3, 0x20)})).empty());
}

TEST(LoadedSections, KnowsTypeInformationByItsWholeName) {
    constexpr std::string_view kNames(".BTF\0.BTF_ids\0.BTF", 18);  // the last one has no end
    Elf64_Shdr types = section(0x1000, 0x20);
    Elf64_Shdr ids = section(0x2000, 0x20);
    ids.sh_name = 5;
    Elf64_Shdr cut_off = section(0x2800, 0x20);
    cut_off.sh_name = 14;
    Elf64_Shdr beyond = section(0x3000, 0x20);
    beyond.sh_name = ~0U;
    const Elf64_Shdr names = section(0x3100, kNames.size(), 0);
    Bytes file = with_header(with_sections({types, ids, cut_off, beyond, names}),
                             [](Elf64_Ehdr& h) { h.e_shstrndx = 4; });
    const auto text = std::as_bytes(std::span(kNames));
    ASSERT_GE(file.size(), 0x3100 + kNames.size());
    std::ranges::copy(text, file.begin() + 0x3100);
    const auto sections = sections_of(file);
    ASSERT_EQ(sections.size(), 4U);
    EXPECT_TRUE(sections[0].is_read_at_start);
    EXPECT_FALSE(sections[1].is_read_at_start);
    EXPECT_FALSE(sections[2].is_read_at_start);
    EXPECT_FALSE(sections[3].is_read_at_start);
    const auto nameless =
        sections_of(with_header(file, [](Elf64_Ehdr& h) { h.e_shstrndx = SHN_XINDEX; }));
    ASSERT_EQ(nameless.size(), 4U);
    EXPECT_FALSE(nameless[0].is_read_at_start);
}

constexpr std::uint64_t kMiB = 1U << 20;

/// 16 MiB in the file and two more of zeros.
const Segment kSegment{.address = Gpa(0x100'0000),
                       .offset = 0x20'0000,
                       .file_size = 16 * kMiB,
                       .memory_size = 18 * kMiB};

Section code(std::uint64_t begin, std::uint64_t size) {
    return {.offset = kSegment.offset + begin, .size = size, .is_code = true, .is_writable = false};
}
Section data(std::uint64_t begin, std::uint64_t size) {
    return {.offset = kSegment.offset + begin, .size = size, .is_code = false, .is_writable = true};
}
Section table(std::uint64_t begin, std::uint64_t size) {
    return {
        .offset = kSegment.offset + begin, .size = size, .is_code = false, .is_writable = false};
}

Segment part(std::uint64_t begin, std::uint64_t end, bool constant) {
    return {.address = Gpa(kSegment.address.value() + begin),
            .offset = kSegment.offset + std::min(begin, kSegment.file_size),
            .file_size = std::clamp(kSegment.file_size, begin, end) - begin,
            .memory_size = end - begin,
            .constant = constant};
}

TEST(SplitBySections, FindsConstantsBehindTheCode) {
    // Linux calls its .rodata writable; what is in a segment that is not, is not.
    const auto parts = split_by_sections(
        kSegment, false, {code(0, 6 * kMiB + 5), data(8 * kMiB, 4 * kMiB), table(12 * kMiB, 100)});
    ASSERT_EQ(parts.size(), 2U + 1U);
    EXPECT_EQ(parts[0], part(0, 8 * kMiB, false));
    EXPECT_EQ(parts[1], part(8 * kMiB, 12 * kMiB, true));
    EXPECT_EQ(parts[2], part(12 * kMiB, 18 * kMiB, false));
}

TEST(SplitBySections, FindsTablesAmongData) {
    const auto parts =
        split_by_sections(kSegment, true,
                          {data(0, 3 * kMiB + 1), table(3 * kMiB + 1, kMiB),
                           table(4 * kMiB + 1, kMiB), data(5 * kMiB + 1, 100), code(6 * kMiB, 10)});
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[0], part(0, 3 * kMiB + kPage, false));
    EXPECT_EQ(parts[1], part(3 * kMiB + kPage, 5 * kMiB, true));
    EXPECT_EQ(parts[2], part(5 * kMiB, 18 * kMiB, false));
}

TEST(SplitBySections, CutsAtPagesOfTheAddressNotOfTheFile) {
    Segment skewed = kSegment;
    skewed.address = Gpa(0x100'0800);
    const auto parts = split_by_sections(skewed, false, {code(0, kMiB), table(kMiB, 2 * kMiB)});
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[1].address, Gpa(0x100'1000 + kMiB));
    EXPECT_EQ(parts[1].offset, kSegment.offset + kMiB + 0x800);
    EXPECT_EQ(parts[1].memory_size, 2 * kMiB - kPage);
}

TEST(SplitBySections, KeepsEveryByteInOrderAndCodeOutOfWhatIsConstant) {
    for (const std::uint64_t skew : {0U, 1U, 0xfffU}) {
        for (const std::uint64_t begin :
             std::initializer_list<std::uint64_t>{0, 1, 5000, 3 * kMiB, 16 * kMiB - 1}) {
            for (const std::uint64_t size :
                 std::initializer_list<std::uint64_t>{1, 4096, 2 * kMiB, 16 * kMiB}) {
                SCOPED_TRACE(testing::Message() << skew << " " << begin << " " << size);
                Segment segment = kSegment;
                segment.address = Gpa(kSegment.address.value() + skew);
                const std::uint64_t end = std::min(begin + size, segment.file_size);
                const auto parts = split_by_sections(
                    segment, false,
                    {table(0, begin), code(begin, end - begin), table(end, 16 * kMiB - end)});
                std::uint64_t at = 0;
                std::uint64_t in_file = 0;
                for (const Segment& piece : parts) {
                    EXPECT_NE(piece.memory_size, 0U);
                    EXPECT_EQ(piece.address.value(), segment.address.value() + at);
                    if (piece.file_size != 0) {
                        EXPECT_EQ(piece.offset, segment.offset + at);
                    }
                    EXPECT_TRUE(!piece.constant || at >= end || at + piece.memory_size <= begin);
                    at += piece.memory_size;
                    in_file += piece.file_size;
                }
                EXPECT_EQ(at, segment.memory_size);
                EXPECT_EQ(in_file, segment.file_size);
            }
        }
    }
}

TEST(SplitBySections, SectionsThatOverlapCodeAreNotConstant) {
    for (const auto& sections : std::vector<std::vector<Section>>{
             {table(0, 8 * kMiB), code(kMiB / 2, 10)},
             {code(0, 8 * kMiB), table(kMiB, 4 * kMiB)},
             {table(0, 8 * kMiB), code(kMiB / 2, 8 * kMiB), table(kMiB, 2 * kMiB)}}) {
        const auto parts = split_by_sections(kSegment, false, sections);
        for (const Segment& piece : parts) {
            EXPECT_FALSE(piece.constant);
        }
    }
}

TEST(SplitBySections, LeavesWhatIsReadAtTheStartToBeCopied) {
    Section types = table(4 * kMiB, 2 * kMiB);
    types.is_read_at_start = true;
    const auto parts =
        split_by_sections(kSegment, false, {table(0, 4 * kMiB), types, table(6 * kMiB, 10 * kMiB)});
    ASSERT_EQ(parts.size(), 4U);
    EXPECT_EQ(parts[0], part(0, 4 * kMiB, true));
    EXPECT_EQ(parts[1], part(4 * kMiB, 6 * kMiB, false));
    EXPECT_EQ(parts[2], part(6 * kMiB, 16 * kMiB, true));
}

TEST(SplitBySections, LeavesASegmentWholeWithoutAWorthwhileRunOfItsOwn) {
    for (const auto& sections : std::vector<std::vector<Section>>{
             {},
             {code(0, 16 * kMiB)},
             {table(0, kMiB - 1), code(kMiB, 100)},
             {{.offset = 0, .size = 2 * kMiB, .is_code = false, .is_writable = false}},
             {{.offset = kSegment.offset - 1,
             .size = 4 * kMiB,
             .is_code = false,
             .is_writable = false}},
             {table(15 * kMiB, 2 * kMiB)}}) {
        const auto parts = split_by_sections(kSegment, false, sections);
        ASSERT_EQ(parts.size(), 1U);
        EXPECT_EQ(parts[0], kSegment);
    }
}

}  // namespace
}  // namespace cxlvm::boot
