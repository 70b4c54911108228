// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/boot/image.hpp"

namespace cxlvm::boot {

/// What the kernel allows for the place of an initrd.
struct InitrdLimits {
    GpaRange kernel;        ///< what must not be overlapped
    Gpa last;               ///< last address that may be used
    bool above_4g = false;  ///< when it does not fit up to `last`, any RAM will do
};

/// The highest page-aligned base at or above 1 MiB at which `size` bytes lie in one RAM block and
/// within `limits`; nothing when there is none.
[[nodiscard]] std::optional<Gpa> place_initrd(std::span<const GuestMemory::Block> ram,
                                              const InitrdLimits& limits,
                                              std::uint64_t size) noexcept;

/// The initrds of a guest, one behind the other, each at a multiple of 4 bytes with zeros between
/// (Linux unpacks concatenated cpio archives).
class Initrds {
  public:
    /// Opens all files. Throws Error (Input) naming the one that cannot be used.
    explicit Initrds(const std::vector<std::string>& paths);

    /// Bytes of all with the padding between; 0 without any.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// Reads them into memory; nothing without any. Throws Error (Input) with files and sizes when
    /// they do not fit.
    std::optional<GpaRange> load(GuestMemory& memory, const InitrdLimits& limits) const;

  private:
    std::vector<Image> files_;
    std::uint64_t size_ = 0;
};

}  // namespace cxlvm::boot
