// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "vmm/cpu/topology.hpp"

namespace cxlvm::cpu {

/// One leaf of CPUID, laid out as KVM's `struct kvm_cpuid_entry2`.
struct CpuidEntry {
    /// `flags`: the entry answers for its `index` alone (KVM_CPUID_FLAG_SIGNIFCANT_INDEX).
    static constexpr std::uint32_t kIndexed = 1;

    std::uint32_t function = 0;
    std::uint32_t index = 0;
    std::uint32_t flags = 0;
    std::uint32_t eax = 0;
    std::uint32_t ebx = 0;
    std::uint32_t ecx = 0;
    std::uint32_t edx = 0;
    std::array<std::uint32_t, 3> padding{};

    friend bool operator==(const CpuidEntry&, const CpuidEntry&) noexcept = default;
};
static_assert(sizeof(CpuidEntry) == 40 && std::is_trivially_copyable_v<CpuidEntry> &&
              std::has_unique_object_representations_v<CpuidEntry>);

/// What makes the leaves of one vCPU differ from what KVM lists.
struct CpuidConfig {
    Topology topology;
    unsigned vcpu = 0;              ///< index, below topology.count()
    unsigned address_bits = 0;      ///< guest physical width, from guest_address_bits()
    std::uint32_t tsc_khz = 0;      ///< guest TSC (KVM_GET_TSC_KHZ), 0: unknown
    std::uint32_t apic_bus_hz = 0;  ///< clock of the local APIC timer, 0: unknown
    bool wide_apic_ids = false;     ///< message interrupts reach ids of 15 bits
    bool tsc_deadline = false;      ///< KVM_CAP_TSC_DEADLINE_TIMER, with an in-kernel local APIC
};

/// Width of the guest's physical addresses that KVM can map: GuestPhysAddrSize of leaf 0x80000008
/// (EAX 23:16) where KVM gives it, else PhysAddrSize (EAX 7:0), else 36.
[[nodiscard]] unsigned guest_address_bits(std::span<const CpuidEntry> supported) noexcept;

/// Whether a guest can use APIC ids above kLastXapicId: x2APIC mode is listed.
[[nodiscard]] bool has_x2apic(std::span<const CpuidEntry> supported) noexcept;

/// The leaves for one vCPU: `supported` (KVM_GET_SUPPORTED_CPUID) with the features kept as they
/// are, and everything that depends on topology, clocks and address width rewritten. Never a
/// feature that KVM does not list, but for the hypervisor bit, the TSC deadline timer and extended
/// destination ids, which are the VMM's to announce; and none without the state that it needs.
[[nodiscard]] std::vector<CpuidEntry> vcpu_cpuid(std::span<const CpuidEntry> supported,
                                                 const CpuidConfig& config);

}  // namespace cxlvm::cpu
