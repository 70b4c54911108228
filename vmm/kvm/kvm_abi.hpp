// SPDX-License-Identifier: Apache-2.0
#pragma once

// The kernel's KVM interface, with every request number and size that we use asserted. Include this
// instead of <linux/kvm.h>, and before anything that might include it.
//
// The kernel's macro for flexible arrays (Linux 6.1 headers, Debian 12) places an empty struct
// before the array. An empty struct has size 1 in C++ and 0 in C, so struct sizes, and the ioctl
// numbers that are computed from them, come out wrong. A zero-length array in its place gives the
// layout that the kernel means.
#include <linux/stddef.h>
#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"  // zero-length arrays are an extension
#pragma push_macro("__DECLARE_FLEX_ARRAY")
#undef __DECLARE_FLEX_ARRAY
// NOLINTNEXTLINE(bugprone-reserved-identifier): the kernel's name is what has to be replaced.
#define __DECLARE_FLEX_ARRAY(type, name) type name[0]
#include <linux/kvm.h>
#pragma pop_macro("__DECLARE_FLEX_ARRAY")
#pragma GCC diagnostic pop

#include <cstddef>
#include <cstdint>

namespace cxlvm::abi {

// Newer than the 6.1 headers.

/// The access needs memory that the host cannot give (Linux 6.8, KVM_CAP_MEMORY_FAULT_INFO). Comes
/// with KVM_RUN failing with EFAULT or EHWPOISON.
inline constexpr std::uint32_t kExitMemoryFault = 39;
/// The part of kvm_run that describes kExitMemoryFault.
struct MemoryFault {
    std::uint64_t flags;
    std::uint64_t gpa;
    std::uint64_t size;
};

/// The kernel's signal set: 8 bytes, where libc's has 128.
using SignalSet = std::uint64_t;
/// kvm_signal_mask with its flexible array filled.
struct SignalMask {
    std::uint32_t length;
    std::uint32_t set[2];
};
static_assert(sizeof(SignalMask) == sizeof(std::uint32_t) + sizeof(SignalSet));

// Of the device.
static_assert(KVM_API_VERSION == 12);
static_assert(KVM_GET_API_VERSION == 0xae00);
static_assert(KVM_CREATE_VM == 0xae01);
static_assert(KVM_CHECK_EXTENSION == 0xae03);
static_assert(KVM_GET_VCPU_MMAP_SIZE == 0xae04);
static_assert(KVM_GET_SUPPORTED_CPUID == 0xc008'ae05);

// Of a virtual machine.
static_assert(KVM_CREATE_VCPU == 0xae41);
static_assert(KVM_SET_USER_MEMORY_REGION == 0x4020'ae46);
static_assert(KVM_SET_TSS_ADDR == 0xae47);
static_assert(KVM_SET_IDENTITY_MAP_ADDR == 0x4008'ae48);
static_assert(KVM_CREATE_IRQCHIP == 0xae60);
static_assert(KVM_IRQ_LINE == 0x4008'ae61);
static_assert(KVM_SET_GSI_ROUTING == 0x4008'ae6a);
static_assert(KVM_IRQFD == 0x4020'ae76);
static_assert(KVM_IOEVENTFD == 0x4040'ae79);
static_assert(KVM_ENABLE_CAP == 0x4068'aea3);
static_assert(KVM_CREATE_DEVICE == 0xc00c'aee0);

// Of a device in the kernel.
static_assert(KVM_SET_DEVICE_ATTR == 0x4018'aee1);
static_assert(KVM_DEV_TYPE_VFIO == 4);
static_assert(KVM_DEV_VFIO_GROUP == 1 && KVM_DEV_VFIO_GROUP_ADD == 1);

// Of a vCPU.
static_assert(KVM_RUN == 0xae80);
static_assert(KVM_GET_REGS == 0x8090'ae81);
static_assert(KVM_SET_REGS == 0x4090'ae82);
static_assert(KVM_GET_SREGS == 0x8138'ae83);
static_assert(KVM_SET_SREGS == 0x4138'ae84);
static_assert(KVM_SET_MSRS == 0x4008'ae89);
static_assert(KVM_SET_SIGNAL_MASK == 0x4004'ae8b);
static_assert(KVM_SET_CPUID2 == 0x4008'ae90);
static_assert(KVM_SET_MP_STATE == 0x4004'ae99);
static_assert(KVM_GET_TSC_KHZ == 0xaea3);
static_assert(KVM_KVMCLOCK_CTRL == 0xaead);

static_assert(sizeof(kvm_userspace_memory_region) == 32);
static_assert(sizeof(kvm_irq_level) == 8);
static_assert(sizeof(kvm_enable_cap) == 104);
static_assert(sizeof(kvm_irq_routing) == 8);
static_assert(sizeof(kvm_irq_routing_entry) == 48);
static_assert(sizeof(kvm_irqfd) == 32);
static_assert(sizeof(kvm_ioeventfd) == 64);
static_assert(sizeof(kvm_create_device) == 12);
static_assert(sizeof(kvm_device_attr) == 24);
static_assert(sizeof(kvm_cpuid2) == 8);
static_assert(sizeof(kvm_cpuid_entry2) == 40);
static_assert(sizeof(kvm_msrs) == 8);
static_assert(sizeof(kvm_msr_entry) == 16);
static_assert(sizeof(kvm_signal_mask) == 4);
static_assert(sizeof(kvm_regs) == 144);
static_assert(sizeof(kvm_sregs) == 312);
static_assert(sizeof(kvm_mp_state) == 4);

static_assert(offsetof(kvm_run, immediate_exit) == 1);
static_assert(offsetof(kvm_run, exit_reason) == 8);
static_assert(offsetof(kvm_run, io) == 32);
static_assert(sizeof(kvm_run::io) == 16);
static_assert(offsetof(kvm_run, mmio.phys_addr) == 32);
static_assert(offsetof(kvm_run, mmio.data) == 40);
static_assert(offsetof(kvm_run, mmio.len) == 48);
static_assert(offsetof(kvm_run, mmio.is_write) == 52);
static_assert(sizeof(kvm_run::mmio) == 24);
static_assert(offsetof(kvm_run, system_event.type) == 32);
static_assert(sizeof(kvm_run::padding) >= sizeof(MemoryFault));
static_assert(sizeof(kvm_run) == 2352);

}  // namespace cxlvm::abi
