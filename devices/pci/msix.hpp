// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/msi.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/spec.hpp"
#include "devices/pci/vector_delivery.hpp"
#include "devices/register_file.hpp"
#include "io/mutex.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::pci {

/// Where the guest finds the table and the pending bit array: pieces of BARs, at multiples of 8.
struct MsixPlace {
    std::uint8_t table_bar = 0;
    std::uint32_t table_offset = 0;
    std::uint8_t pba_bar = 0;
    std::uint32_t pba_offset = 0;
};

/// Spec:       PCI Express Base Specification 6.0, 7.7.2 (MSI-X capability and table) and 6.1.4.
/// Implements: 1 to 2048 vectors, masks of the vectors and of the function, pending bits; accesses
///             of 4 and 8 bytes, aligned. A function that may not master the bus holds its messages
///             back.
/// Deviates:   nothing. Other accesses, whose results are undefined (7.7.2), are refused.
///
/// The MSI-X capability of one function, a member of it that is declared before the regions:
///
///     Msix msix{*this, vectors, {.table_bar = 1, .pba_bar = 1, .pba_offset = 0x800}};
///     Region table{"msix-table", Msix::table_size(kVectors), msix.table()};
///     Region pba{"msix-pba", Msix::pba_size(kVectors), msix.pba()};
class Msix final : public FunctionPart, private VectorRegisters {
  public:
    /// Bytes of the table, and of the pending bit array.
    [[nodiscard]] static constexpr std::uint64_t table_size(std::size_t vectors) noexcept {
        return std::uint64_t{kMsixEntrySize} * vectors;
    }
    [[nodiscard]] static constexpr std::uint64_t pba_size(std::size_t vectors) noexcept {
        return (vectors + 63) / 64 * 8;
    }

    /// Adds the capability. The vectors and `function` outlive this.
    Msix(PciFunction& function, std::span<MsiVector* const> vectors, const MsixPlace& place);
    Msix(const Msix&) = delete;
    Msix& operator=(const Msix&) = delete;
    ~Msix() = default;

    [[nodiscard]] IoHandler& table() noexcept { return table_; }
    [[nodiscard]] IoHandler& pba() noexcept { return pba_; }

    /// Whether the guest has enabled it. Any thread.
    [[nodiscard]] bool enabled() noexcept { return control().enabled; }
    /// An interrupt; of a vector that there is not, nothing happens. Returns false, with no effect,
    /// while MSI-X is disabled: the function has its interrupt pin then. Any thread.
    bool raise(unsigned vector) noexcept CXLVM_EXCLUDES(mutex_);

    void config_written() noexcept override CXLVM_EXCLUDES(order_);
    void config_reset() noexcept override CXLVM_EXCLUDES(order_, mutex_);

  private:
    class Table final : public IoHandler {
      public:
        explicit Table(Msix& msix) noexcept : msix_(msix) {}
        IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
        IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

      private:
        Msix& msix_;
    };
    /// Writes are without effect: software should not write it (7.7.2).
    class Pba final : public IoHandler {
      public:
        explicit Pba(Msix& msix) noexcept : msix_(msix) {}
        IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
        IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

      private:
        Msix& msix_;
    };
    /// What the configuration space says of all vectors.
    struct Control {
        bool enabled = false;
        bool sends = false;  ///< enabled, the function is not masked, and it may master the bus
        friend constexpr bool operator==(Control, Control) noexcept = default;
    };

    [[nodiscard]] std::optional<MsiMessage> message(unsigned vector) noexcept override
        CXLVM_EXCLUDES(mutex_);
    void set_pending(unsigned vector) noexcept override CXLVM_EXCLUDES(mutex_);
    bool take_pending(unsigned vector) noexcept override CXLVM_EXCLUDES(mutex_);
    [[nodiscard]] Control control() noexcept;

    // Configuration.
    std::uint16_t offset_ = 0;  ///< of the capability
    // Wiring.
    PciFunction& function_;
    VectorDelivery delivery_;
    Table table_{*this};
    Pba pba_{*this};

    // Held while all vectors are settled, so that the last one to do so has seen the last write;
    // before the locks of the vectors.
    io::Mutex order_;
    Control settled_ CXLVM_GUARDED_BY(order_);  // what that was done for
    io::Mutex mutex_;
    // State.
    RegisterFile entries_ CXLVM_GUARDED_BY(mutex_);
    RegisterFile pending_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::pci
