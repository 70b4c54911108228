// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "memory/guest_memory.hpp"
#include "vmm/boot/spec.hpp"

namespace cxlvm::boot {

/// What a kernel is told, whichever way it is entered.
struct GuestInfo {
    std::string command_line;  ///< from command_line(): fits, has no NUL
    std::optional<GpaRange> initrd;
    Gpa rsdp;
};

/// The command line for `kernel`, which takes `limit` bytes without the NUL: `configured`,
/// or kDefaultCommandLine when there is none. Throws Error (Input) when it is too long or holds a
/// NUL.
[[nodiscard]] std::string command_line(const std::optional<std::string>& configured,
                                       std::uint64_t limit, const std::string& kernel);

/// The setup header for an ELF kernel, which has none of its own.
[[nodiscard]] SetupHeader setup_header_for_elf() noexcept;

/// Writes the zero page at layout::kBootParams, the command line and, where the protocol has
/// setup_data, a seed for the guest's random numbers. `header` is the image's own one.
void write_boot_params(const SetupHeader& header, const GuestInfo& info, GuestMemory& memory);

/// Writes the PVH start info at layout::kBootParams with the memory map and the initrd as its one
/// module, and the command line.
void write_start_info(const GuestInfo& info, GuestMemory& memory);

}  // namespace cxlvm::boot
