// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu_setup.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <tuple>

#include "vmm/cpu/msrs.hpp"
#include "vmm/cpu/registers.hpp"

namespace cxlvm {

namespace {

/// What KVM's local APIC timer runs at unless it is told otherwise.
constexpr std::uint32_t kApicBusHz = 1'000'000'000;

// std::bit_cast asserts that the sizes agree.
static_assert(offsetof(cpu::CpuidEntry, function) == offsetof(kvm_cpuid_entry2, function));
static_assert(offsetof(cpu::CpuidEntry, index) == offsetof(kvm_cpuid_entry2, index));
static_assert(offsetof(cpu::CpuidEntry, flags) == offsetof(kvm_cpuid_entry2, flags));
static_assert(offsetof(cpu::CpuidEntry, eax) == offsetof(kvm_cpuid_entry2, eax));
static_assert(offsetof(cpu::CpuidEntry, ebx) == offsetof(kvm_cpuid_entry2, ebx));
static_assert(offsetof(cpu::CpuidEntry, ecx) == offsetof(kvm_cpuid_entry2, ecx));
static_assert(offsetof(cpu::CpuidEntry, edx) == offsetof(kvm_cpuid_entry2, edx));
static_assert(cpu::CpuidEntry::kIndexed == KVM_CPUID_FLAG_SIGNIFCANT_INDEX);

/// Copies entries between two types of one layout.
template <typename To, typename From>
std::vector<To> entries_as(std::span<const From> from) {
    std::vector<To> to(from.size());
    std::transform(from.begin(), from.end(), to.begin(),
                   [](const From& entry) { return std::bit_cast<To>(entry); });
    return to;
}

kvm_segment segment_of(const cpu::Segment& from) noexcept {
    kvm_segment to{};
    to.base = from.base;
    to.limit = from.limit;
    to.selector = from.selector;
    to.type = from.type;
    to.present = from.present ? 1 : 0;
    to.dpl = from.dpl;
    to.db = from.default_32 ? 1 : 0;
    to.s = from.code_or_data ? 1 : 0;
    to.l = from.long_mode ? 1 : 0;
    to.g = from.granularity ? 1 : 0;
    return to;
}

void enter_at(const KvmVcpu& vcpu, const cpu::EntryRegisters& entry) {
    kvm_sregs sregs = vcpu.sregs();
    sregs.cs = segment_of(entry.code);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment_of(entry.data);
    sregs.tr = segment_of(entry.task);
    sregs.gdt.base = entry.gdt.base;
    sregs.gdt.limit = entry.gdt.limit;
    sregs.idt.base = entry.idt.base;
    sregs.idt.limit = entry.idt.limit;
    sregs.cr0 = entry.cr0;
    sregs.cr3 = entry.cr3;
    sregs.cr4 = entry.cr4;
    sregs.efer = entry.efer;
    vcpu.set_sregs(sregs);
    kvm_regs regs{};
    regs.rip = entry.rip;
    regs.rsp = entry.rsp;
    regs.rsi = entry.rsi;
    regs.rbx = entry.rbx;
    regs.rflags = entry.rflags;
    vcpu.set_regs(regs);
}

void set_boot_msrs(const KvmVcpu& vcpu, io::Log& log) {
    const auto msrs = cpu::boot_msrs();
    std::array<kvm_msr_entry, std::tuple_size_v<decltype(cpu::boot_msrs())>> entries{};
    for (std::size_t i = 0; i < entries.size(); ++i) {
        entries[i].index = msrs[i].index;
        entries[i].data = msrs[i].value;
    }
    // KVM stops at the first register that it refuses; the guest can live without it.
    std::span<const kvm_msr_entry> left(entries);
    while (!left.empty()) {
        left = left.subspan(vcpu.set_msrs(left));
        if (!left.empty()) {
            log.debug("this KVM refuses {:#x} in register {:#x}", left.front().data,
                      left.front().index);
            left = left.subspan(1);
        }
    }
}

}  // namespace

std::vector<cpu::CpuidEntry> supported_cpuid(const Kvm& kvm) {
    const std::vector<kvm_cpuid_entry2> entries = kvm.supported_cpuid();
    return entries_as<cpu::CpuidEntry>(std::span<const kvm_cpuid_entry2>(entries));
}

void set_up_vcpus(const Kvm& kvm, const VcpuGroup& vcpus, const cpu::Topology& topology,
                  std::span<const cpu::CpuidEntry> supported, const boot::EntryState& entry,
                  io::Log& log) {
    cpu::CpuidConfig config{
        .topology = topology,
        .vcpu = 0,
        .address_bits = cpu::guest_address_bits(supported),
        .tsc_khz = vcpus[0].kvm().tsc_khz(),
        .apic_bus_hz = kApicBusHz,
        .wide_apic_ids = cpu::apic_ids_of(topology).back() > cpu::kLastXapicId,
        .tsc_deadline = kvm.capability(KVM_CAP_TSC_DEADLINE_TIMER) > 0,
    };
    for (unsigned index = 0; index < vcpus.size(); ++index) {
        const KvmVcpu& vcpu = vcpus[index].kvm();
        config.vcpu = index;
        const std::vector<cpu::CpuidEntry> leaves = cpu::vcpu_cpuid(supported, config);
        vcpu.set_cpuid(entries_as<kvm_cpuid_entry2>(std::span<const cpu::CpuidEntry>(leaves)));
        set_boot_msrs(vcpu, log);
    }
    enter_at(vcpus[0].kvm(), cpu::entry_registers(entry));
}

}  // namespace cxlvm
