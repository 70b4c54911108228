// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/builtin_guest.hpp"

#include "tests/vmm/boot/image_builder.hpp"

namespace cxlvm {

/// Stands in for the guest that the binary has.
std::span<const std::byte> builtin_guest() noexcept {
    static const boot::test::Bytes kGuest = boot::test::make_elf64(boot::test::linux_like());
    return kGuest;
}

}  // namespace cxlvm
