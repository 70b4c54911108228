// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/payload.hpp"

#include <fmt/format.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "io/error.hpp"

namespace cxlvm::boot {

namespace {

/// Linux packs with xz dictionaries of up to 128 MiB; liblzma needs little more than that.
constexpr std::uint64_t kLzmaMemoryLimit = 256ULL << 20;
constexpr std::size_t kSizeTrailer = 4;

constexpr std::uint32_t kLz4LegacyMagic = 0x184c'2102;
constexpr std::size_t kLz4LegacyBlock = 8U << 20;  ///< unpacked size of every block but the last

struct Magic {
    PayloadFormat format;
    std::string_view bytes;
};

constexpr std::array<Magic, 7> kMagics{{
    {PayloadFormat::Gzip, {"\x1f\x8b", 2}},
    {PayloadFormat::Bzip2, {"BZh", 3}},
    {PayloadFormat::Lzma, {"\x5d\x00\x00", 3}},
    {PayloadFormat::Xz,
     {"\xfd"
      "7zXZ\0",
      6}},
    {PayloadFormat::Lzo, {"\x89LZO\0\r", 6}},
    {PayloadFormat::Lz4, {"\x02\x21\x4c\x18", 4}},
    {PayloadFormat::Zstd, {"\x28\xb5\x2f\xfd", 4}},
}};

struct Job {
    PayloadFormat format;
    std::span<const std::byte> in;
    std::span<std::byte> out;
    const std::string& name;

    [[noreturn]] void damaged(std::string_view why) const {
        io::throw_input(fmt::format("{}: the {} payload is damaged ({}); copy the kernel again",
                                    name, to_string(format), why));
    }
    void finished(std::size_t written) const {
        if (written != out.size()) {
            damaged(fmt::format("{} bytes instead of {}", written, out.size()));
        }
    }
};

const std::uint8_t* bytes_of(std::span<const std::byte> bytes) noexcept {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

std::uint8_t* bytes_of(std::span<std::byte> bytes) noexcept {
    return reinterpret_cast<std::uint8_t*>(bytes.data());
}

void unpack_gzip(const Job& job) {
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    constexpr int kGzipWrapper = 16;
    z_stream stream{};
    if (inflateInit2(&stream, MAX_WBITS + kGzipWrapper) != Z_OK) {
        io::throw_error(ENOMEM, "unpack " + job.name);
    }
    // Sizes are below 4 GiB: a payload has 32-bit lengths.
    stream.next_in = const_cast<Bytef*>(bytes_of(job.in));  // zlib does not write it
    stream.avail_in = static_cast<uInt>(std::min(job.in.size(), kMost));
    stream.next_out = bytes_of(job.out);
    stream.avail_out = static_cast<uInt>(std::min(job.out.size(), kMost));
    const int status = inflate(&stream, Z_FINISH);
    const std::size_t written = job.out.size() - stream.avail_out;
    inflateEnd(&stream);
    if (status == Z_MEM_ERROR) {
        io::throw_error(ENOMEM, "unpack " + job.name);
    }
    if (status != Z_STREAM_END) {
        job.damaged(status == Z_BUF_ERROR ? "it does not end where it should" : "wrong data");
    }
    job.finished(written);
}

void unpack_lzma(const Job& job) {
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret status = job.format == PayloadFormat::Xz
                          ? lzma_stream_decoder(&stream, kLzmaMemoryLimit, 0)
                          : lzma_alone_decoder(&stream, kLzmaMemoryLimit);
    if (status == LZMA_OK) {
        stream.next_in = bytes_of(job.in);
        stream.avail_in = job.in.size();
        stream.next_out = bytes_of(job.out);
        stream.avail_out = job.out.size();
        status = lzma_code(&stream, LZMA_FINISH);
        if (status == LZMA_OK) {
            // The output is full; what may follow is the end mark alone.
            std::uint8_t excess = 0;
            stream.next_out = &excess;
            stream.avail_out = 1;
            status = lzma_code(&stream, LZMA_FINISH);
            if (stream.avail_out == 0) {
                status = LZMA_DATA_ERROR;
            }
        }
    }
    const std::uint64_t written = std::min<std::uint64_t>(stream.total_out, job.out.size());
    lzma_end(&stream);
    if (status == LZMA_MEM_ERROR) {
        io::throw_error(ENOMEM, "unpack " + job.name);
    }
    if (status == LZMA_MEMLIMIT_ERROR) {
        job.damaged(fmt::format("it asks for more than {} MiB of memory", kLzmaMemoryLimit >> 20));
    }
    if (status != LZMA_STREAM_END) {
        job.damaged(status == LZMA_BUF_ERROR ? "it does not end where it should" : "wrong data");
    }
    job.finished(written);
}

/// The legacy frame of the lz4 tool: the magic, then blocks, each with its packed size in front.
void unpack_lz4(const Job& job) {
    std::span<const std::byte> in = job.in;
    std::size_t written = 0;
    while (!in.empty()) {
        std::uint32_t size = 0;
        if (in.size() < sizeof(size)) {
            job.damaged("it ends inside a block's size");
        }
        std::memcpy(&size, in.data(), sizeof(size));
        in = in.subspan(sizeof(size));
        if (size == kLz4LegacyMagic) {
            continue;  // frames may follow one another
        }
        if (size > in.size() || size > static_cast<std::uint32_t>(LZ4_MAX_INPUT_SIZE)) {
            job.damaged("it ends inside a block");
        }
        const auto room = job.out.subspan(written);
        const int count = LZ4_decompress_safe(
            reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(room.data()),
            static_cast<int>(size), static_cast<int>(std::min(room.size(), kLz4LegacyBlock)));
        if (count < 0) {
            job.damaged("wrong data");
        }
        written += static_cast<std::size_t>(count);
        in = in.subspan(size);
    }
    job.finished(written);
}

void unpack_zstd(const Job& job) {
    const std::size_t result =
        ZSTD_decompress(job.out.data(), job.out.size(), job.in.data(), job.in.size());
    if (ZSTD_isError(result) != 0) {
        if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
            io::throw_error(ENOMEM, "unpack " + job.name);
        }
        job.damaged(ZSTD_getErrorName(result));
    }
    job.finished(result);
}

}  // namespace

std::string_view to_string(PayloadFormat format) noexcept {
    switch (format) {
        case PayloadFormat::Gzip:
            return "gzip";
        case PayloadFormat::Bzip2:
            return "bzip2";
        case PayloadFormat::Lzma:
            return "lzma";
        case PayloadFormat::Xz:
            return "xz";
        case PayloadFormat::Lzo:
            return "lzo";
        case PayloadFormat::Lz4:
            return "lz4";
        case PayloadFormat::Zstd:
            return "zstd";
    }
    return "unknown";
}

std::optional<PayloadFormat> identify_payload(std::span<const std::byte> start) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
    for (const Magic& magic : kMagics) {
        if (text.substr(0, magic.bytes.size()) == magic.bytes) {
            return magic.format;
        }
    }
    return std::nullopt;
}

bool can_unpack(PayloadFormat format) noexcept {
    return format != PayloadFormat::Bzip2 && format != PayloadFormat::Lzo;
}

void unpack(PayloadFormat format, std::span<const std::byte> payload, std::span<std::byte> out,
            const std::string& name) {
    const std::size_t trailer = format == PayloadFormat::Gzip ? 0 : kSizeTrailer;
    Job job{.format = format, .in = payload, .out = out, .name = name};
    if (payload.size() < trailer || out.empty()) {
        job.damaged("it is too short");
    }
    job.in = payload.first(payload.size() - trailer);
    switch (format) {
        case PayloadFormat::Gzip:
            return unpack_gzip(job);
        case PayloadFormat::Lzma:
        case PayloadFormat::Xz:
            return unpack_lzma(job);
        case PayloadFormat::Lz4:
            return unpack_lz4(job);
        case PayloadFormat::Zstd:
            return unpack_zstd(job);
        case PayloadFormat::Bzip2:
        case PayloadFormat::Lzo:
            break;
    }
    io::throw_input(
        fmt::format("{}: {} payloads are not unpacked by cxlvm; use "
                    "the image's own decompressor (--boot bzimage)",
                    name, to_string(format)));
}

}  // namespace cxlvm::boot
