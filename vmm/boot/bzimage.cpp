// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/bzimage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

/// As much of the header as the file has; zero behind it.
SetupHeader read_header(const Image& file) {
    SetupHeader header{};
    const auto bytes = std::as_writable_bytes(std::span(&header, 1));
    file.read(SetupHeader::kOffset, bytes);
    // Code follows where the header of an older protocol ends.
    const std::size_t end = offsetof(SetupHeader, header) + header.jump_offset;
    if (end < bytes.size()) {
        std::memset(bytes.data() + end, 0, bytes.size() - end);
    }
    return header;
}

[[noreturn]] void damaged(const Image& file, const std::string& why) {
    io::throw_input(fmt::format("{}: damaged bzImage: {}; copy it again", file.name(), why));
}

void find_payload(const Image& file, BzImage& image) {
    const std::uint64_t offset = image.header.payload_offset;
    const std::uint64_t size = image.header.payload_length;
    if (size == 0) {
        return;
    }
    if (offset > image.code.size || size > image.code.size - offset) {
        damaged(file, fmt::format("its payload of {} at {:#x} lies outside of it",
                                  host::format_size(size), offset));
    }
    image.payload = {.offset = image.code.offset + offset, .size = size};
    std::array<std::byte, kPayloadMagicSize> magic{};
    std::uint32_t unpacked_size = 0;
    if (size < magic.size() + sizeof(unpacked_size)) {
        damaged(file, fmt::format("its payload has {} bytes", size));
    }
    file.read(image.payload.offset, magic);
    image.format = identify_payload(magic);
    file.read(image.payload.offset + size - sizeof(unpacked_size),
              std::as_writable_bytes(std::span(&unpacked_size, 1)));
    // init_size covers unpacking in place, hence both forms of the kernel.
    if (unpacked_size == 0 || unpacked_size > image.header.init_size ||
        size > image.header.init_size) {
        damaged(file, fmt::format("its payload of {} unpacks to {}, and the header asks for {}",
                                  host::format_size(size), host::format_size(unpacked_size),
                                  host::format_size(image.header.init_size)));
    }
    image.unpacked_size = unpacked_size;
}

}  // namespace

bool is_bzimage(const Image& file) {
    if (file.size() < SetupHeader::kOffset + sizeof(SetupHeader)) {
        return false;
    }
    const SetupHeader header = read_header(file);
    return header.boot_flag == SetupHeader::kBootFlag && header.header == SetupHeader::kMagic;
}

BzImage parse_bzimage(const Image& file) {
    BzImage image{};
    image.header = read_header(file);
    const SetupHeader& header = image.header;
    if (header.version < kProtocolInitSize) {
        io::throw_input(
            fmt::format("{}: boot protocol {}.{:02} is too old; give a kernel with 2.10 "
                        "(Linux 2.6.31) or newer",
                        file.name(), header.version >> 8, header.version & 0xff));
    }
    if ((header.loadflags & kLoadedHigh) == 0) {
        io::throw_input(file.name() + ": a zImage, which loads below 1 MiB; build a bzImage");
    }
    const std::uint64_t sectors =
        header.setup_sects == 0 ? kDefaultSetupSectors : header.setup_sects;
    image.code.offset = (sectors + 1) * kSectorSize;
    image.code.size = std::uint64_t{header.syssize} * 16;
    // The last unit of 16 bytes may be cut short.
    if (image.code.size <= kEntry64Offset ||
        image.code.offset + image.code.size > file.size() + 15) {
        io::throw_input(
            fmt::format("{}: truncated bzImage: it should have {}, the file has {}; "
                        "copy it again",
                        file.name(), host::format_size(image.code.offset + image.code.size),
                        host::format_size(file.size())));
    }
    image.code.size = std::min(image.code.size, file.size() - image.code.offset);
    if (header.init_size < image.code.size) {
        damaged(file, fmt::format("it has {} of code and asks for {} of memory",
                                  host::format_size(image.code.size),
                                  host::format_size(header.init_size)));
    }
    find_payload(file, image);
    return image;
}

std::optional<std::string> reason_against_unpacking(const BzImage& image) {
    if (!image.is_64bit()) {
        return "it is a 32-bit kernel or has no 64-bit entry";
    }
    if (image.payload.size == 0) {
        return "its header names no payload";
    }
    if (!image.format) {
        return "its payload is in an unknown format";
    }
    if (!can_unpack(*image.format)) {
        return fmt::format("cxlvm does not unpack {}", to_string(*image.format));
    }
    return std::nullopt;
}

std::optional<GpaRange> place_bzimage(const SetupHeader& header,
                                      const GuestMemory& memory) noexcept {
    // A kernel that is put below pref_address moves itself up to it before it unpacks (Linux/x86
    // boot protocol, "The kernel runtime start address"), so a lower place never helps. The entry
    // is 32-bit code, or 64-bit code under an identity map of 4 GiB.
    const auto range = GpaRange::of(Gpa(header.pref_address), header.init_size);
    const bool good = range && range->base() >= layout::kHighMemory &&
                      range->last() < layout::kHighRam &&
                      memory.span(range->base(), range->size()).has_value();
    return good ? range : std::nullopt;
}

}  // namespace cxlvm::boot
