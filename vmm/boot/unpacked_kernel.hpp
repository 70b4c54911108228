// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "io/log.hpp"
#include "vmm/boot/bzimage.hpp"
#include "vmm/boot/elf.hpp"

namespace cxlvm::boot {

/// The ELF kernel from inside a bzImage.
struct UnpackedKernel {
    Image file;
    KernelImage kernel;
    bool from_cache = false;  ///< nothing was unpacked
};

/// Takes the kernel out of `image`, for which reason_against_unpacking() has none: from the cache
/// when `use_cache` and it is there, else by unpacking it (and keeping it, when `use_cache`). A
/// cache that cannot be used costs a line in the log. Throws Error (Input) for a damaged payload.
[[nodiscard]] UnpackedKernel unpack_kernel(const Image& file, const BzImage& image, bool use_cache,
                                           io::Log& log);

}  // namespace cxlvm::boot
