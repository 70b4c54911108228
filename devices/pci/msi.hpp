// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "devices/msi.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/vector_delivery.hpp"

namespace cxlvm::pci {

/// Spec:       PCI Express Base Specification 6.0, 7.7.1 (MSI capability) and 6.1.4.
/// Implements: 1 to 32 vectors, 64-bit addresses, Multiple Message Enable, a mask and a pending bit
///             for each vector. A function that may not master the bus, itself or for a port above,
///             holds its messages back.
/// Deviates:   no extended message data, which is optional.
///
/// The MSI capability of one function, a member of it. All state is in the function's registers.
class Msi final : public FunctionPart, private VectorRegisters {
  public:
    /// Adds the capability. 1, 2, 4, 8, 16 or 32 vectors; they and `function` outlive this.
    Msi(PciFunction& function, std::span<MsiVector* const> vectors);
    Msi(const Msi&) = delete;
    Msi& operator=(const Msi&) = delete;
    ~Msi() = default;

    /// An interrupt. Where the guest has allocated fewer vectors than the function has, `vector`
    /// counts modulo what it has. Returns false, with no effect, while MSI is disabled. Any thread.
    bool raise(unsigned vector) noexcept;

    void config_written() noexcept override { delivery_.settle_all(); }
    void config_reset() noexcept override { delivery_.settle_all(); }

  private:
    [[nodiscard]] std::optional<MsiMessage> message(unsigned vector) noexcept override;
    void set_pending(unsigned vector) noexcept override;
    bool take_pending(unsigned vector) noexcept override;

    /// Vectors that the guest has allocated; 0 while MSI is disabled.
    [[nodiscard]] unsigned allocated(const RegisterFile& registers) const noexcept;

    // Configuration.
    std::uint16_t offset_ = 0;  ///< of the capability
    // Wiring.
    PciFunction& function_;
    VectorDelivery delivery_;
};

}  // namespace cxlvm::pci
