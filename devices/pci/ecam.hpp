// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/pci/segment.hpp"
#include "io/log.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::pci {

/// Spec:       PCI Express Base Specification 6.0, 7.2.2 (enhanced configuration access mechanism).
/// Implements: accesses of 1, 2 and 4 bytes within a dword, on 256 buses of 1 MiB.
/// Deviates:   nothing. Accesses that cross a dword, those of 8 bytes among them, need not be
///             supported (7.2.2): their reads give all-ones and their writes are dropped.
class Ecam final : public IoHandler {
  public:
    /// `segment` outlives this.
    Ecam(Segment& segment, io::Log& log) noexcept : segment_(segment), log_(log) {}

    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

  private:
    [[nodiscard]] IoStatus check(std::uint64_t offset, std::size_t size) noexcept;

    // Wiring.
    Segment& segment_;
    io::Log& log_;
    // Accounting.
    io::RateLimit oddities_;
};

}  // namespace cxlvm::pci
