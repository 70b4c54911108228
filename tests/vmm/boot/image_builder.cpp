// SPDX-License-Identifier: Apache-2.0
#include "tests/vmm/boot/image_builder.hpp"

#include <fcntl.h>
#include <lz4.h>
#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "io/bits.hpp"

namespace cxlvm::boot::test {

namespace {

template <typename T>
void append(Bytes& bytes, const T& value) {
    const auto part = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
}

const std::uint8_t* raw(std::span<const std::byte> bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

std::uint8_t* raw(Bytes& bytes) {
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

template <typename Header, typename ProgramHeader>
Bytes make_elf(const ElfSpec& spec, unsigned char elf_class) {
    using Address = decltype(Header::e_entry);
    const std::size_t count = spec.segments.size() + (spec.notes.empty() ? 0 : 1);
    Header header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = elf_class;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = spec.type;
    header.e_machine = spec.machine;
    header.e_entry = static_cast<Address>(spec.entry);
    header.e_phoff = sizeof(Header);
    header.e_phentsize = sizeof(ProgramHeader);
    header.e_phnum = static_cast<std::uint16_t>(count);

    Bytes file;
    append(file, header);
    std::size_t offset = sizeof(Header) + count * sizeof(ProgramHeader);
    Bytes contents;
    const auto add = [&](std::uint32_t type, const ElfSegment& segment) {
        ProgramHeader program_header{};
        program_header.p_type = type;
        program_header.p_offset = static_cast<Address>(offset + contents.size());
        program_header.p_vaddr = static_cast<Address>(segment.virtual_address);
        program_header.p_paddr = static_cast<Address>(segment.physical_address);
        program_header.p_filesz = static_cast<Address>(segment.content.size());
        program_header.p_memsz = static_cast<Address>(
            segment.memory_size == 0 ? segment.content.size() : segment.memory_size);
        program_header.p_align = 4;
        program_header.p_flags = segment.access;
        append(file, program_header);
        contents.insert(contents.end(), segment.content.begin(), segment.content.end());
    };
    for (const ElfSegment& segment : spec.segments) {
        add(PT_LOAD, segment);
    }
    if (!spec.notes.empty()) {
        add(PT_NOTE, {.content = spec.notes});
    }
    file.insert(file.end(), contents.begin(), contents.end());
    return file;
}

Bytes pack_gzip(std::span<const std::byte> bytes) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    Bytes out(deflateBound(&stream, bytes.size()));
    stream.next_in = const_cast<Bytef*>(raw(bytes));
    stream.avail_in = static_cast<uInt>(bytes.size());
    stream.next_out = raw(out);
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

Bytes pack_lzma(std::span<const std::byte> bytes, bool xz) {
    lzma_options_lzma options;
    EXPECT_FALSE(lzma_lzma_preset(&options, 1));
    lzma_stream stream = LZMA_STREAM_INIT;
    EXPECT_EQ(xz ? lzma_easy_encoder(&stream, 1, LZMA_CHECK_CRC32)
                 : lzma_alone_encoder(&stream, &options),
              LZMA_OK);
    Bytes out(bytes.size() + bytes.size() / 2 + 4096);
    stream.next_in = raw(bytes);
    stream.avail_in = bytes.size();
    stream.next_out = raw(out);
    stream.avail_out = out.size();
    EXPECT_EQ(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
    out.resize(stream.total_out);
    lzma_end(&stream);
    return out;
}

Bytes pack_lz4(std::span<const std::byte> bytes) {
    constexpr std::uint32_t kLegacyMagic = 0x184c'2102;
    constexpr std::size_t kBlock = 8U << 20;
    Bytes out;
    append(out, kLegacyMagic);
    while (!bytes.empty()) {
        const auto block = bytes.first(std::min(bytes.size(), kBlock));
        Bytes packed(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(block.size()))));
        const int size = LZ4_compress_default(
            reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(packed.data()),
            static_cast<int>(block.size()), static_cast<int>(packed.size()));
        EXPECT_GT(size, 0);
        packed.resize(static_cast<std::size_t>(size));
        append(out, static_cast<std::uint32_t>(size));
        out.insert(out.end(), packed.begin(), packed.end());
        bytes = bytes.subspan(block.size());
    }
    return out;
}

Bytes pack_zstd(std::span<const std::byte> bytes) {
    Bytes out(ZSTD_compressBound(bytes.size()));
    const std::size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
    EXPECT_FALSE(ZSTD_isError(size));
    out.resize(size);
    return out;
}

}  // namespace

Bytes bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

Bytes pattern(std::size_t size, std::uint32_t seed) {
    Bytes bytes(size);
    for (std::byte& byte : bytes) {
        seed = seed * 1'664'525 + 1'013'904'223;
        byte = static_cast<std::byte>((seed >> 24) | 1);
    }
    return bytes;
}

Bytes make_note(std::string_view owner, std::uint32_t type, std::span<const std::byte> data) {
    Bytes note;
    append(note, Elf64_Nhdr{.n_namesz = static_cast<std::uint32_t>(owner.size() + 1),
                            .n_descsz = static_cast<std::uint32_t>(data.size()),
                            .n_type = type});
    const Bytes name = bytes_of(owner);
    note.insert(note.end(), name.begin(), name.end());
    note.push_back(std::byte{0});
    note.resize(io::align_up(note.size(), 4));
    note.insert(note.end(), data.begin(), data.end());
    note.resize(io::align_up(note.size(), 4));
    return note;
}

Bytes make_pvh_note(std::uint64_t entry) {
    return make_note("Xen", kXenNotePhys32Entry, std::as_bytes(std::span(&entry, 1)));
}

Bytes make_elf64(const ElfSpec& spec) {
    return make_elf<Elf64_Ehdr, Elf64_Phdr>(spec, ELFCLASS64);
}

Bytes make_elf32(const ElfSpec& spec) {
    return make_elf<Elf32_Ehdr, Elf32_Phdr>(spec, ELFCLASS32);
}

ElfSpec linux_like(std::string_view text) {
    constexpr std::uint64_t kText = 0x20'0000;
    constexpr std::uint64_t kData = 0x22'0080;
    Bytes code = pattern(3 * 4096 + 100);
    const Bytes start = bytes_of(text);
    std::copy(start.begin(), start.end(), code.begin());
    return {.segments = {{.virtual_address = kLinuxKernelMap + kText,
                          .physical_address = kText,
                          .content = code},
                         {.virtual_address = kLinuxKernelMap + kData,
                          .physical_address = kData,
                          .content = pattern(2 * 4096, 7),
                          .memory_size = 0x1'0000}},
            .entry = kText};
}

Bytes pack(PayloadFormat format, std::span<const std::byte> bytes) {
    Bytes out;
    switch (format) {
        case PayloadFormat::Gzip:
            return pack_gzip(bytes);
        case PayloadFormat::Xz:
        case PayloadFormat::Lzma:
            out = pack_lzma(bytes, format == PayloadFormat::Xz);
            break;
        case PayloadFormat::Lz4:
            out = pack_lz4(bytes);
            break;
        case PayloadFormat::Zstd:
            out = pack_zstd(bytes);
            break;
        case PayloadFormat::Bzip2:  // never unpacked: the first bytes suffice
            out = bytes_of("BZh91AY&SY and so on");
            break;
        case PayloadFormat::Lzo:
            out = bytes_of(std::string_view("\x89LZO\0\r\n\x1a\n and so on", 19));
            break;
    }
    append(out, static_cast<std::uint32_t>(bytes.size()));
    return out;
}

SetupHeader default_header() {
    SetupHeader header{};
    header.setup_sects = 2;
    header.boot_flag = SetupHeader::kBootFlag;
    header.jump_opcode = 0xeb;
    header.jump_offset = 0x6a;
    header.header = SetupHeader::kMagic;
    header.version = kProtocolCurrent;
    header.loadflags = kLoadedHigh;
    header.initrd_addr_max = kLinuxInitrdLast;
    header.kernel_alignment = 0x20'0000;
    header.relocatable_kernel = 1;
    header.xloadflags = kXlfKernel64 | kXlfLoadableAbove4G;
    header.cmdline_size = kLinuxCommandLineSize;
    header.payload_offset = 0x400;
    header.pref_address = 0x20'0000;
    header.init_size = 0x10'0000;
    return header;
}

Bytes make_bzimage(std::span<const std::byte> payload, SetupHeader header) {
    const std::size_t setup_size =
        (header.setup_sects == 0 ? std::size_t{5} : header.setup_sects + std::size_t{1}) * 512;
    header.payload_length = static_cast<std::uint32_t>(payload.size());
    Bytes code = pattern(header.payload_offset, 99);
    code.insert(code.end(), payload.begin(), payload.end());
    code.resize(io::align_up(code.size(), 16));
    header.syssize = static_cast<std::uint32_t>(code.size() / 16);

    Bytes file(setup_size);
    const auto bytes = std::as_bytes(std::span(&header, 1));
    std::copy(bytes.begin(), bytes.end(), file.begin() + SetupHeader::kOffset);
    file.insert(file.end(), code.begin(), code.end());
    return file;
}

TemporaryFolder::TemporaryFolder()
    : path_((std::filesystem::temp_directory_path() / "cxlvm-boot-XXXXXX").string()) {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name,
                                   std::span<const std::byte> bytes) const {
    const std::string path = path_ + "/" + name;
    const io::Fd file = io::open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return path;
}

}  // namespace cxlvm::boot::test
