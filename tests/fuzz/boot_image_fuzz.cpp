// SPDX-License-Identifier: Apache-2.0
// Everything that reads a file that a user gives as kernel: bzImage, ELF, payloads, cache entries.
// The input is the file; a guest of 8 MiB bounds what may be unpacked.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "io/error.hpp"
#include "vmm/boot/blake2b.hpp"
#include "vmm/boot/bzimage.hpp"
#include "vmm/boot/cache_entry.hpp"
#include "vmm/boot/elf.hpp"
#include "vmm/boot/foreign.hpp"
#include "vmm/boot/payload.hpp"
#include "vmm/boot/unpacked_kernel.hpp"

namespace {

using namespace cxlvm;
using namespace cxlvm::boot;

constexpr std::uint64_t kGuestSize = 8U << 20;
constexpr std::uint64_t kMaxUnpacked = 1U << 20;

/// Set-up code may refuse an input in one way only.
template <typename Call>
void refuse_or_do(Call&& call) {
    try {
        call();
    } catch (const io::Error& error) {
        io::check(error.fault() == io::Fault::Input, "a bad file was called the host's fault");
        io::check(std::strchr(error.what(), '\n') == nullptr, "a message of several lines");
    }
}

void load_elf(const Image& image, GuestMemory& memory) {
    const KernelImage kernel = parse_elf(image);
    check_placement(kernel, memory, image.name());
    load_segments(kernel, image, memory);
    (void)extent(kernel);
}

void load_bzimage(const Image& image, GuestMemory& memory) {
    const BzImage parsed = parse_bzimage(image);
    if (const auto place = place_bzimage(parsed.header, memory)) {
        image.load(memory, place->base(), parsed.code.offset, parsed.code.size);
    }
    if (!reason_against_unpacking(parsed) && parsed.unpacked_size <= kMaxUnpacked) {
        io::Log log(-1, io::LogLevel::Off);
        const UnpackedKernel unpacked = unpack_kernel(image, parsed, false, log);
        check_placement(unpacked.kernel, memory, image.name());
        load_segments(unpacked.kernel, unpacked.file, memory);
    }
}

void unpack_payload(std::span<const std::byte> bytes) {
    const auto format = identify_payload(bytes);
    if (format && bytes.size() >= sizeof(std::uint32_t)) {
        std::uint32_t size = 0;
        std::memcpy(&size, bytes.data() + bytes.size() - sizeof(size), sizeof(size));
        const io::Mapping out = make_buffer(1 + size % kMaxUnpacked, "fuzz");
        unpack(*format, bytes, out.bytes(), "fuzz");
    }
}

void read_cache_entry(std::span<const std::byte> bytes) {
    CacheEntryHeader header{};
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof(header)));
    // The checksum would keep the fuzzer from everything behind it.
    header.segment_count %= kMaxSegments + 1;
    const std::size_t used = offsetof(CacheEntryHeader, segments) +
                             header.segment_count * sizeof(CacheEntryHeader::Segment);
    std::memset(reinterpret_cast<std::byte*>(&header) + used, 0, sizeof(header) - used);
    header.magic = CacheEntryHeader::kMagic;
    header.checksum = Blake2b::of(std::as_bytes(std::span(&header, 1)).first(used));
    if (const auto kernel = read_header(header, header.payload, header.size)) {
        (void)extent(*kernel);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const Image image(bytes, "fuzz");
    GuestMemoryConfig config;
    config.size = kGuestSize;
    GuestMemory memory(config);
    if (is_bzimage(image)) {
        refuse_or_do([&] { load_bzimage(image, memory); });
    } else {
        refuse_or_do([&] { load_elf(image, memory); });
    }
    refuse_or_do([&] { unpack_payload(bytes); });
    read_cache_entry(bytes);
    (void)describe_foreign(bytes);
    return 0;
}
