// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "vmm/boot/image.hpp"
#include "vmm/boot/payload.hpp"
#include "vmm/boot/spec.hpp"

namespace cxlvm::boot {

/// A piece of a file.
struct FileRange {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// A Linux bzImage, checked against its file.
struct BzImage {
    SetupHeader header;
    FileRange code;     ///< the protected-mode code: decompressor and payload
    FileRange payload;  ///< the packed kernel; size 0 when the header names none
    std::optional<PayloadFormat> format;
    std::uint64_t unpacked_size = 0;  ///< as the payload's last 4 bytes say; at most init_size

    [[nodiscard]] bool is_64bit() const noexcept {
        return header.version >= kProtocolXloadflags && (header.xloadflags & kXlfKernel64) != 0;
    }
};

/// Whether the file starts like a bzImage: boot flag and "HdrS" in their places.
[[nodiscard]] bool is_bzimage(const Image& file);

/// Reads and checks the setup header. Throws Error (Input): boot protocol before 2.10 (Linux
/// 2.6.31, the first to say how much memory a kernel needs), zImage, a truncated file, a payload
/// outside of the file or larger unpacked than the kernel says it needs.
[[nodiscard]] BzImage parse_bzimage(const Image& file);

/// Why cxlvm cannot unpack the payload and enter the kernel directly; nothing when it can.
[[nodiscard]] std::optional<std::string> reason_against_unpacking(const BzImage& image);

/// Where the image's own decompressor is put: where the kernel prefers to be, if all init_size
/// bytes there are RAM above 1 MiB and below 4 GiB. Nothing otherwise.
[[nodiscard]] std::optional<GpaRange> place_bzimage(const SetupHeader& header,
                                                    const GuestMemory& memory) noexcept;

}  // namespace cxlvm::boot
