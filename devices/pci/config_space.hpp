// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "devices/pci/spec.hpp"
#include "devices/register_file.hpp"

namespace cxlvm::pci {

/// What a function says it is.
struct Identity {
    std::uint16_t vendor_id = 0;
    std::uint16_t device_id = 0;
    std::uint8_t revision = 0;
    std::uint32_t class_code = 0;  ///< 24 bits: base class, sub-class, programming interface
    std::uint16_t subsystem_vendor_id = 0;
    std::uint16_t subsystem_id = 0;
    std::uint8_t interrupt_pin = 0;  ///< 0 for none, 1 for INTA#
};

/// The 4 KiB configuration space of a function: a header of type 0 (endpoint) or 1 (bridge) and two
/// chains of capabilities.
/// Not thread-safe: the function locks.
///
/// Capabilities are added at set-up, each behind the last unless said otherwise. One that does not
/// fit is a broken invariant of ours.
class ConfigSpace {
  public:
    explicit ConfigSpace(const Identity& identity, HeaderType type = HeaderType::Endpoint);

    /// How many base address registers the header has.
    [[nodiscard]] std::size_t bar_count() const noexcept { return bar_count_; }

    /// Adds a capability of `size` bytes, its header of two included. `body` has offsets from the
    /// capability's start. Returns where it lies.
    std::uint16_t add_capability(std::uint8_t id, std::uint16_t size,
                                 std::span<const RegisterSpec> body);
    /// The same in the extended space, with a header of four bytes.
    std::uint16_t add_extended_capability(std::uint16_t id, std::uint8_t version,
                                          std::uint16_t size, std::span<const RegisterSpec> body);

    /// The next capability, or the next extended one, goes to `offset`, a multiple of 4, and later
    /// ones behind it: for a device whose drivers know where its registers are. Capabilities that
    /// overlap are a broken invariant of ours.
    void next_capability_at(std::uint16_t offset) noexcept {
        (offset < kLegacyConfigSize ? capabilities_ : extended_).next = offset;
    }

    /// Takes orders of a function level reset (6.6.2) from the Device Control register of the PCI
    /// Express capability at `express`, which has a writable bit for them.
    void watch_function_reset(std::uint16_t express) noexcept { express_ = express; }

    /// A guest's access.
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) const noexcept {
        return registers_.read(offset, data);
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept;
    void reset() noexcept { registers_.reset(); }
    /// Link Control of a function that takes such orders, for it outlasts them.
    [[nodiscard]] std::uint16_t link_settings() const noexcept;
    void set_link_settings(std::uint16_t settings) noexcept;
    /// Whether a guest has asked for a function level reset since this was last called.
    [[nodiscard]] bool take_function_reset() noexcept {
        return std::exchange(function_reset_, false);
    }

    /// Whether the function is awake: in D0, or without power management. In D3hot it answers to
    /// nothing but configuration requests and sends nothing (5.3.1.4.1).
    [[nodiscard]] bool awake() const noexcept;
    /// Whether it answers to memory requests: Memory Space Enable (7.5.1.1.3).
    [[nodiscard]] bool decodes_memory() const noexcept;
    /// Whether it answers to I/O requests: I/O Space Enable (7.5.1.1.3).
    [[nodiscard]] bool decodes_ports() const noexcept;
    /// Whether it may write to memory, messages of interrupts included: Bus Master Enable
    /// (7.5.1.1.3).
    [[nodiscard]] bool masters_bus() const noexcept;
    /// Whether it holds its interrupt pin: an interrupt is pending (Interrupt Status, 7.5.1.1.4)
    /// and Interrupt Disable is clear.
    [[nodiscard]] bool asserts_pin() const noexcept;

    /// The function's own access.
    [[nodiscard]] RegisterFile& registers() noexcept { return registers_; }
    [[nodiscard]] const RegisterFile& registers() const noexcept { return registers_; }

  private:
    /// A chain: where the next capability goes, and the last one so far.
    struct Chain {
        std::uint16_t next;
        std::uint16_t end;
        std::uint16_t last = 0;  ///< 0 while the chain is empty
    };

    /// Reserves `size` bytes and adds the body; returns where.
    std::uint16_t place(Chain& chain, std::uint16_t size, std::uint16_t header,
                        std::span<const RegisterSpec> body);

    /// Takes the order out of the register, where it is never seen.
    void note_function_reset() noexcept;

    [[nodiscard]] Register<std::uint16_t> command() const noexcept;
    [[nodiscard]] Register<std::uint16_t> status() const noexcept;
    [[nodiscard]] Register<std::uint16_t> power_control() const noexcept;

    RegisterFile registers_;
    std::size_t bar_count_;
    std::uint16_t power_control_ = 0;  ///< offset; 0 without power management
    std::uint16_t express_ = 0;        ///< offset; 0 when there is no function level reset
    bool function_reset_ = false;      ///< asked for, and not begun yet
    Chain capabilities_{.next = kFirstCapability, .end = kLegacyConfigSize};
    Chain extended_{.next = kFirstExtendedCapability, .end = kConfigSpaceSize};
};

}  // namespace cxlvm::pci
