// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "io/log.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/cpu/cpuid.hpp"
#include "vmm/cpu/topology.hpp"
#include "vmm/kvm/kvm.hpp"
#include "vmm/vcpu/vcpu_group.hpp"

namespace cxlvm {

// Gives KVM what vmm/cpu has computed: the only place where the two meet.

/// KVM's list of leaves as vmm/cpu takes it.
[[nodiscard]] std::vector<cpu::CpuidEntry> supported_cpuid(const Kvm& kvm);

/// Sets the CPUID leaves and registers of all vCPUs, and lets the first begin at `entry`.
///
/// The others keep KVM's reset state, in which they wait for INIT and a start-up IPI; so does every
/// local APIC: without a PIC there is no line to its LINT0, and the guest sets up LINT1 from the
/// ACPI tables. Throws io::Error.
void set_up_vcpus(const Kvm& kvm, const VcpuGroup& vcpus, const cpu::Topology& topology,
                  std::span<const cpu::CpuidEntry> supported, const boot::EntryState& entry,
                  io::Log& log);

}  // namespace cxlvm
