// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "vmm/builtin_guest/guest/console.hpp"

namespace guest {

/// Fields of Linux's boot parameters (Documentation/arch/x86/zero-page.rst).
class BootParams {
  public:
    explicit BootParams(std::uint64_t address) : address_(address) {}

    [[nodiscard]] std::uint64_t rsdp() const;
    [[nodiscard]] std::uint32_t command_line() const;
    [[nodiscard]] unsigned entry_count() const;  ///< of the memory map, at most 128

    struct Entry {
        std::uint64_t base;
        std::uint64_t size;
        std::uint32_t type;
    };
    [[nodiscard]] Entry entry(unsigned index) const;

  private:
    std::uint64_t address_;
};

/// The map that the boot parameters hold, and what may be touched by it.
class MemoryMap {
  public:
    explicit MemoryMap(const BootParams& params) : params_(params) {}

    /// How many bytes from `address` on are memory that may be read: RAM or ACPI tables within the
    /// first 4 GiB, which are all that is mapped.
    [[nodiscard]] std::uint64_t readable(std::uint64_t address) const;
    /// Whether `size` bytes at `address` could be registers of a device: below 4 GiB and clear of
    /// all memory.
    [[nodiscard]] bool is_device(std::uint64_t address, std::uint64_t size) const;

    void report(Console& console) const;

  private:
    BootParams params_;
};

}  // namespace guest
