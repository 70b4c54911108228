// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/pci/function.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::virtio {

/// Spec:       virtio 1.2, 4.1.4.9 (PCI configuration access capability).
/// Implements: reads and writes of 1, 2 and 4 bytes of BARs through configuration space, for
///             drivers (firmware) that have none mapped.
/// Deviates:   an access that the BAR refuses, of another BAR, or not aligned to its length reads
///             as all-ones and writes nothing.
///
/// A member of a function, which calls it for the accesses that it sees.
class AccessWindow {
  public:
    /// Who serves the first `size` bytes of a BAR.
    struct Target {
        std::uint8_t bar;
        std::uint64_t size;
        IoHandler& handler;
    };

    /// Adds the capability. The function and the handlers outlive this.
    AccessWindow(pci::PciFunction& function, std::vector<Target> targets);

    /// Before a guest's read, and after a guest's write, of configuration registers.
    void config_reading(std::uint64_t offset, std::size_t size) noexcept;
    void config_written(std::uint64_t offset, std::size_t size) noexcept;

  private:
    /// What the capability's fields select.
    struct Access {
        IoHandler* handler;
        std::uint64_t offset;
        std::size_t size;
    };

    [[nodiscard]] bool touches_data(std::uint64_t offset, std::size_t size) const noexcept;
    [[nodiscard]] std::optional<Access> selected(const RegisterFile& registers) const noexcept;

    // Configuration.
    const std::uint16_t offset_;  ///< of the capability
    // Wiring.
    pci::PciFunction& function_;
    const std::vector<Target> targets_;
};

}  // namespace cxlvm::virtio
