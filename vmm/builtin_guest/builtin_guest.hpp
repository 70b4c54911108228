// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace cxlvm {

/// The guest that runs when no kernel is given: an ELF64 executable for layout::kDefaultKernel,
/// entered in long mode as the 64-bit Linux boot protocol says (RSI: boot parameters, first 4 GiB
/// mapped onto themselves). README.md here lists the words of its command line.
[[nodiscard]] std::span<const std::byte> builtin_guest() noexcept;

}  // namespace cxlvm
