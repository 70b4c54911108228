// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "memory/io_handler.hpp"

namespace cxlvm {

/// One register of a specification table.
struct RegisterSpec {
    std::uint32_t offset;        ///< bytes from the block's start
    std::uint8_t width;          ///< 1, 2, 4 or 8 bytes
    std::uint64_t reset = 0;     ///< value after reset
    std::uint64_t writable = 0;  ///< bits that take what is written
    std::uint64_t w1c = 0;       ///< bits that a written 1 clears; none of them writable
};

/// A block of little-endian registers under one write rule, applied to each byte of a guest's
/// write: v = (v & ~writable) | (w & writable), then v &= ~(w & w1c). Bytes that no register covers
/// read as zero. Not thread-safe: the owner locks. PCI configuration space, DVSECs and CXL
/// component registers are such blocks; side effects are their owner's.
class RegisterFile {
  public:
    /// A block of `size` bytes. Throws nothing but std::bad_alloc; a table that overlaps, leaves
    /// the block or makes a bit both writable and w1c is a broken invariant.
    RegisterFile(std::size_t size, std::span<const RegisterSpec> table);

    [[nodiscard]] std::size_t size() const noexcept { return value_.size(); }
    /// Adds a register after construction, for chains that are built up.
    void add(const RegisterSpec& spec);

    /// A guest's access; BadSize when it leaves the block.
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) const noexcept;
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept;

    /// The device's own access, which no mask restrains. `offset` is our own and must be inside.
    [[nodiscard]] std::uint8_t get8(std::size_t offset) const noexcept;
    [[nodiscard]] std::uint16_t get16(std::size_t offset) const noexcept;
    [[nodiscard]] std::uint32_t get32(std::size_t offset) const noexcept;
    [[nodiscard]] std::uint64_t get64(std::size_t offset) const noexcept;
    void set8(std::size_t offset, std::uint8_t value) noexcept;
    void set16(std::size_t offset, std::uint16_t value) noexcept;
    void set32(std::size_t offset, std::uint32_t value) noexcept;
    void set64(std::size_t offset, std::uint64_t value) noexcept;

    /// Changes the reset value as well, for what is settled while a chain is built up (the link to
    /// the next capability).
    void preset8(std::size_t offset, std::uint8_t value) noexcept;
    void preset16(std::size_t offset, std::uint16_t value) noexcept;

    /// All registers back to their reset values.
    void reset() noexcept;

  private:
    std::vector<std::byte> value_;
    std::vector<std::byte> reset_;
    std::vector<std::byte> writable_;
    std::vector<std::byte> w1c_;
    std::vector<bool> covered_;
};

}  // namespace cxlvm
