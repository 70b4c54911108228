// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <elf.h>

#include <cstdint>
#include <vector>

#include "vmm/boot/elf.hpp"
#include "vmm/boot/image.hpp"

namespace cxlvm::boot {

/// A section of an ELF file that is loaded.
struct Section {
    std::uint64_t offset;  ///< in the file
    std::uint64_t size;
    bool is_code;      ///< SHF_EXECINSTR
    bool is_writable;  ///< SHF_WRITE
    /// Linux reads all of it while it starts: its type information (.BTF), which it verifies.
    bool is_read_at_start = false;
};

/// The sections of `file` whose bytes are loaded, by ascending offset. A kernel needs no section
/// headers to be loaded: when they are missing, damaged or absurdly many, there are none.
[[nodiscard]] std::vector<Section> loaded_sections(const Image& file, const Elf64_Ehdr& header);

/// Splits a segment into what the kernel only reads and the rest. Linux patches its code, so that
/// is never constant; what else lies in a segment that is not writable is (where Linux has its
/// read-only data, behind the code), and so are the sections of a writable segment that are not
/// writable themselves (the tables for unwinding the stack). What is read as a whole at the start
/// is not worth a fault for each page. Parts meet at page boundaries of their addresses. Runs below
/// 1 MiB are not worth a mapping of their own. `segment` alone when there is nothing to split.
[[nodiscard]] std::vector<Segment> split_by_sections(const Segment& segment, bool is_writable,
                                                     const std::vector<Section>& sections);

}  // namespace cxlvm::boot
