// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list.hpp>

#include "devices/pci/bar.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"
#include "memory/address.hpp"
#include "memory/address_space.hpp"

namespace cxlvm::pci {

/// Maps the base addresses of all functions into the address spaces, as the guest programs them.
///
/// A BAR is *wanted* at the place that its register names while the function decodes its kind and
/// the ports above pass that on, if it is a place at all: not 0, and within the address space.
/// It is mapped as a whole or, where something else lies already, not at all; it is then tried
/// again whenever a BAR changes.
///
/// While decoding is off, as a guest has it off to size a BAR, or while a port above passes the
/// place on no longer, trapped pieces go at once but memory pieces are *kept* where they are, for
/// mapping guest memory anew is expensive. Kept pieces have no right to their place: they go when
/// decoding comes back at another address, when another BAR is wanted anywhere in the range of
/// theirs, when give_way() asks, and on reset.
///
/// Any thread. Nothing here allocates, apart from the set-up of Bars.
class BarMapper {
  public:
    /// Guest physical memory, its last address, and the I/O ports; all outlive this. Without ports
    /// there can be no I/O BARs.
    BarMapper(AddressSpace& memory, Gpa last, io::Log& log, AddressSpace* ports = nullptr) noexcept
        : last_(last), memory_(memory), ports_(ports), log_(log) {}
    BarMapper(const BarMapper&) = delete;
    BarMapper& operator=(const BarMapper&) = delete;
    /// All Bars are gone.
    ~BarMapper() = default;

    /// Unmaps kept pieces in `range`, for whoever is about to map something there that is no BAR.
    void give_way(GpaRange range) noexcept CXLVM_EXCLUDES(mutex_);

  private:
    friend class Bars;
    using Bar = Bars::Bar;

    void join(Bars& bars) noexcept CXLVM_EXCLUDES(mutex_);
    void leave(Bars& bars) noexcept CXLVM_EXCLUDES(mutex_);
    /// Brings the mappings in line with the function's registers, and those of the ports above.
    /// `keep` allows that memory pieces stay while decoding is off.
    void apply(Bars& bars, bool keep) noexcept CXLVM_EXCLUDES(mutex_);

    /// Notes where the registers want the BARs.
    void read_registers(Bars& bars) noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] AddressSpace& space_of(const Bar& bar) const noexcept;
    void place(Bar& bar) noexcept CXLVM_REQUIRES(mutex_);
    void evict(GpaRange range) noexcept CXLVM_REQUIRES(mutex_);
    void withdraw(Bar& bar) noexcept CXLVM_REQUIRES(mutex_);
    void withdraw_trapped(Bar& bar) noexcept CXLVM_REQUIRES(mutex_);
    void report(const Bars& bars) noexcept CXLVM_REQUIRES(mutex_);

    // Configuration.
    const Gpa last_;
    // Wiring.
    AddressSpace& memory_;
    AddressSpace* const ports_;
    io::Log& log_;
    // Accounting.
    io::RateLimit oddities_;

    // Orders changes: it is held from the reading of the registers until they are acted upon, so
    // that of two vCPUs that write at once the later one to get here has seen both writes. Before
    // the locks of functions, ports above included, and of the address space, none of which calls
    // back.
    io::Mutex mutex_;
    boost::intrusive::list<Bars> members_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::pci
