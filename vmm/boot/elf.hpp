// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory/guest_memory.hpp"
#include "vmm/boot/image.hpp"

namespace cxlvm::boot {

/// A piece of an image and where it belongs. The memory behind its bytes is zero.
struct Segment {
    Gpa address;
    std::uint64_t offset = 0;  ///< in the image
    std::uint64_t file_size = 0;
    std::uint64_t memory_size = 0;  ///< not 0; at least file_size
    /// The kernel at most reads it: neither data that it may write nor code, which Linux patches.
    bool constant = false;

    friend bool operator==(const Segment&, const Segment&) = default;
};

/// What has to be known of an ELF kernel to load and enter it.
struct KernelImage {
    /// Ascending by address, disjoint, at least one.
    std::vector<Segment> segments;
    /// Physical address of the 64-bit entry; nothing for a 32-bit file.
    std::optional<Gpa> entry64;
    /// Physical address of the 32-bit entry that the PVH note names.
    std::optional<Gpa> pvh_entry;
    /// Whether the file shows that it is Linux: see parse_elf().
    bool is_linux = false;

    friend bool operator==(const KernelImage&, const KernelImage&) = default;
};

inline constexpr std::size_t kMaxSegments = 64;

/// Reads the headers of an x86-64 (or, for PVH, i386) ELF executable and checks every number in
/// them against the size of the image. Throws Error (Input).
///
/// A loadable segment is split into what is constant and what is not where the section headers, if
/// the file has any that can be believed, tell: see split_by_sections().
///
/// An ELF64 file counts as Linux when a note names "Linux" as its owner, when the Xen note
/// GUEST_OS says "linux", or when the segment that holds the entry point is linked at Linux's
/// kernel map (virtual minus physical address is __START_KERNEL_map) and no GUEST_OS note names
/// something else. One of these holds for every x86-64 Linux; other systems with a PVH note have a
/// GUEST_OS note of their own or enter at a virtual address.
[[nodiscard]] KernelImage parse_elf(const Image& file);

/// From the lowest to the highest address that the segments use.
[[nodiscard]] GpaRange extent(const KernelImage& kernel);

/// Throws Error (Input) unless every segment lies in RAM between 1 MiB (what lies below belongs to
/// the boot parameters) and 4 GiB; the message names `name`, the sizes and the remedy.
void check_placement(const KernelImage& kernel, const GuestMemory& memory, const std::string& name);

/// Puts the segments, which check_placement() has passed, into memory: constant ones of a sealed
/// file are mapped, what the guest will write is copied. Fresh RAM is zero, so what lies behind a
/// segment's bytes needs no work.
void load_segments(const KernelImage& kernel, const Image& file, GuestMemory& memory);

}  // namespace cxlvm::boot
