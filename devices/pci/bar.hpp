// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <cstdint>
#include <optional>
#include <vector>

#include "devices/pci/function.hpp"
#include "memory/address.hpp"
#include "memory/address_space.hpp"

namespace cxlvm::pci {

class BarMapper;

/// A part of what a base address register decodes: trapped or, but for ports, memory. The region is
/// the function's and outlives its Bars.
struct BarPiece {
    std::uint64_t offset;  ///< from the BAR's base, in bytes
    Region& region;
};

enum class BarKind : std::uint8_t {
    Memory32,
    Memory64,  ///< takes the register of the next index too
    Ports,
};

/// A base address register and what lies behind it.
struct BarSpec {
    std::uint8_t index = 0;  ///< 0 to 5
    BarKind kind = BarKind::Memory32;
    std::uint64_t size = 0;  ///< bytes: a power of two, 16 or more; of ports 4 to 256
    bool prefetchable = false;
    /// In ascending order, within the BAR, without overlap; memory at whole pages. What lies in
    /// between answers to nobody.
    std::vector<BarPiece> pieces{};
};

/// Spec:       PCI Express Base Specification 6.0, 7.5.1.2.1 (base address registers).
/// Implements: memory BARs of 32 and 64 bits and I/O BARs, sizing, relocation, and the decoding
///             that Memory and I/O Space Enable switch. In D3hot nothing is decoded (5.3.1.4.1).
///             Behind a port, a BAR answers at what the port passes on (7.5.1.3.8, 7.5.1.3.9):
///             an I/O BAR nowhere, since our ports have no I/O window (7.5.1.3.6).
/// Deviates:   memory pieces may stay reachable while decoding, or a port's, is off (see
///             BarMapper). A BAR that a port passes on in part is not reached at all.
///
/// The base address registers of one function. A member of the function, declared after the
/// regions. A table that does not fit the standard is a broken invariant of ours.
class Bars final : public FunctionPart,
                   public boost::intrusive::list_base_hook<
                       boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  public:
    /// Adds the registers to the header. `function` and `mapper` outlive this.
    Bars(PciFunction& function, BarMapper& mapper, std::vector<BarSpec> specs);
    Bars(const Bars&) = delete;
    Bars& operator=(const Bars&) = delete;
    /// Unmaps everything; no vCPU runs.
    ~Bars();

    void config_written() noexcept override;
    void config_reset() noexcept override;

  private:
    friend class BarMapper;

    struct Bar {
        // Configuration.
        BarSpec spec;
        // State, guarded by the mapper's mutex.
        std::optional<GpaRange> wanted{};  ///< where the registers want it, while it is decoded
        std::optional<GpaRange> placed{};  ///< where some pieces or all are mapped
        bool complete = false;             ///< all pieces are
        bool withheld = false;  ///< wanted nowhere only since decoding, or a port's, is off
    };

    // Wiring.
    PciFunction& function_;
    BarMapper& mapper_;
    // State.
    std::vector<Bar> bars_;
};

}  // namespace cxlvm::pci
