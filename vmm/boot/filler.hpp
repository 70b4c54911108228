// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "vmm/boot/elf.hpp"

namespace cxlvm::boot {

/// Splits the segments of a kernel where whole pages hold the same byte over and over, so that less
/// of it is copied at each boot. `bytes` is the image that the segments' offsets count in.
///
/// Zeros are left out of the file: fresh RAM holds them anyway, and so do the ends of segments,
/// where Linux has its bss linked in. Long filler of another byte becomes constant: linkers put it
/// before parts that are aligned to 2 MiB (Linux's entry code, for page table isolation), and
/// nobody reads it. A few pages of code within such filler go with it. Segments that are constant
/// are only cut at their end. There are never more than kMaxSegments; beyond that nothing is split.
void split_off_filler(KernelImage& kernel, std::span<const std::byte> bytes);

}  // namespace cxlvm::boot
