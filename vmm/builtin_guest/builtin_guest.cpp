// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/builtin_guest.hpp"

// Both ends of what image.S embeds.
extern "C" const std::byte cxlvm_builtin_guest_start[];  // NOLINT(modernize-avoid-c-arrays)
extern "C" const std::byte cxlvm_builtin_guest_end[];    // NOLINT(modernize-avoid-c-arrays)

namespace cxlvm {

std::span<const std::byte> builtin_guest() noexcept {
    return {cxlvm_builtin_guest_start, cxlvm_builtin_guest_end};
}

}  // namespace cxlvm
