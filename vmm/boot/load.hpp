// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "vmm/boot/boot.hpp"

namespace cxlvm::boot {

/// load() for an ELF file that is in memory, under `name`, with the initrds, the command line and
/// the protocol of `config`. Throws like load().
[[nodiscard]] LoadedGuest load_elf_image(std::span<const std::byte> bytes, const std::string& name,
                                         const BootConfig& config, GuestMemory& memory, Gpa rsdp);

}  // namespace cxlvm::boot
