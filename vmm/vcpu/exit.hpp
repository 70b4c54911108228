// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "memory/address_space.hpp"
#include "vmm/kvm/kvm_abi.hpp"

namespace cxlvm {

/// What becomes of a vCPU after an exit.
enum class ExitVerdict : std::uint8_t {
    Resume,         ///< served: back into the guest
    PowerOff,       ///< the guest powered itself off
    Reset,          ///< the guest asked for a reset
    GuestPanic,     ///< the guest reported its own crash
    TripleFault,    ///< a fault while a double fault was delivered
    InternalError,  ///< KVM could not go on with the guest's instruction
    EntryFailed,    ///< the processor refused the guest's state
    Unknown,        ///< an exit that we never asked for
};

/// Exits of one vCPU. Written by its thread alone, read by any; on a cache line of its own.
struct alignas(64) ExitCounters {
    std::atomic<std::uint64_t> io{0};         ///< port accesses
    std::atomic<std::uint64_t> mmio{0};       ///< accesses to trapped memory
    std::atomic<std::uint64_t> other{0};      ///< all others, interruptions included
    std::atomic<std::uint64_t> unclaimed{0};  ///< accesses where no device is

    /// One more. Not an atomic increment: there is one writer.
    static void count(std::atomic<std::uint64_t>& counter) noexcept {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
};

/// Decodes the exits of one vCPU and hands each access to its address space. No state of its own,
/// no allocation, no locks.
class ExitDispatcher {
  public:
    ExitDispatcher(AddressSpace& memory, AddressSpace& ports, ExitCounters& counters) noexcept
        : memory_(memory), ports_(ports), counters_(counters) {}

    /// Serves the exit that `run` describes. On the vCPU's thread.
    ExitVerdict dispatch(kvm_run& run) const noexcept;

  private:
    void port_access(kvm_run& run) const noexcept;
    void memory_access(kvm_run& run) const noexcept;
    void count_status(IoStatus status) const noexcept;

    AddressSpace& memory_;
    AddressSpace& ports_;
    ExitCounters& counters_;
};

}  // namespace cxlvm
