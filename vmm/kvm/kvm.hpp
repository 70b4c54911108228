// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "io/fd.hpp"
#include "io/mapping.hpp"
#include "vmm/kvm/kvm_abi.hpp"

namespace cxlvm {

// Thin, typed wrappers of KVM's three kinds of descriptor. Calls of set-up throw io::Error
// (Fault::Host) naming the request; calls that are made while a guest runs return an errno value, 0
// for success.

/// What KVM_CHECK_EXTENSION is asked for.
struct KvmCapability {
    unsigned number;   ///< KVM_CAP_*
    const char* name;  ///< the same without "KVM_CAP_"
};
/// What every VM here stands on. The one list: Kvm refuses a device that lacks any of it, and
/// `cxlvm check` reports the same.
[[nodiscard]] std::span<const KvmCapability> required_capabilities() noexcept;

/// The KVM device: what this host offers.
class Kvm {
  public:
    /// `device` is a path, or "fd=N" for a descriptor that somebody else opened and keeps. Checks
    /// the interface version and required_capabilities().
    explicit Kvm(const std::string& device);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// KVM_CHECK_EXTENSION: 0 when absent, else a number whose meaning is the capability's.
    [[nodiscard]] int capability(unsigned number) const noexcept;
    /// CPUID leaves that the host can give a guest.
    [[nodiscard]] std::vector<kvm_cpuid_entry2> supported_cpuid() const;
    /// vCPUs that one VM may have.
    [[nodiscard]] unsigned max_vcpus() const noexcept;
    /// The largest number (APIC id) that a vCPU may have, plus 1.
    [[nodiscard]] unsigned vcpu_id_limit() const noexcept;
    /// Whether KvmVm::use_wide_apic_ids() is there.
    [[nodiscard]] bool has_wide_apic_ids() const noexcept;
    /// Bytes of a vCPU's shared page and what follows it.
    [[nodiscard]] std::size_t run_size() const noexcept { return run_size_; }

  private:
    io::Fd fd_;
    std::size_t run_size_ = 0;
};

/// One virtual machine.
class KvmVm {
  public:
    /// Also gives KVM the four pages at layout::kKvmIdentityMap and kKvmTss, which Intel hosts need
    /// for code in real mode.
    explicit KvmVm(const Kvm& kvm);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Gives the descriptor up: whoever has it ends the VM by closing it. Nothing else may be
    /// called any more.
    [[nodiscard]] io::Fd release() noexcept { return std::move(fd_); }

    /// Local APIC ids of 32 bits where the interface has 8, and 255 as an id like any other instead
    /// of "all processors" (KVM_CAP_X2APIC_API). From then on bits 31 to 8 of a message interrupt's
    /// destination are bits 31 to 8 of the upper half of its address. Before the first vCPU.
    void use_wide_apic_ids();
    /// Whether that was called.
    [[nodiscard]] bool wide_apic_ids() const noexcept { return wide_apic_ids_; }
    /// PIC, I/O APIC and one local APIC for each vCPU, in the kernel. Before the first vCPU.
    void create_irqchip() const;

    /// Adds, changes or (memory_size 0) removes a memory slot. Any thread; waits until no vCPU uses
    /// the old one.
    [[nodiscard]] int set_memory(const kvm_userspace_memory_region& region) const noexcept;
    /// Sets the level of an interrupt line. Any thread.
    [[nodiscard]] int set_irq_line(std::uint32_t gsi, bool level) const noexcept;
    /// Replaces the table of routes: `routes` and its entries behind it. Any thread; waits until no
    /// interrupt uses the old one. EINVAL for a message that no local APIC can take.
    [[nodiscard]] int set_gsi_routes(const kvm_irq_routing& routes) const noexcept;
    /// Each write to the eventfd raises the interrupt, until it is removed. Any thread.
    [[nodiscard]] int assign_irqfd(int eventfd, std::uint32_t gsi) const noexcept;
    /// The same for a level: a write to `eventfd` raises the line until the guest has served the
    /// interrupt, which lowers it and writes to `resamplefd`. It adds to set_irq_line().
    [[nodiscard]] int assign_level_irqfd(int eventfd, int resamplefd,
                                         std::uint32_t gsi) const noexcept;
    [[nodiscard]] int remove_irqfd(int eventfd, std::uint32_t gsi) const noexcept;
    /// Each write of the guest to the address, of any width and value, signals the eventfd and
    /// causes no exit, until it is removed. Any thread; removing waits until no vCPU uses it.
    [[nodiscard]] int assign_ioeventfd(std::uint64_t address, int eventfd,
                                       bool port) const noexcept;
    [[nodiscard]] int remove_ioeventfd(std::uint64_t address, int eventfd,
                                       bool port) const noexcept;

  private:
    io::Fd fd_;
    bool wide_apic_ids_ = false;
};

/// One virtual CPU. Calls come from the thread that runs it, or from set-up before that exists.
class KvmVcpu {
  public:
    KvmVcpu(const Kvm& kvm, const KvmVm& vm, std::uint32_t id);

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// The page shared with the kernel; data of port accesses follows the structure.
    [[nodiscard]] kvm_run& run_page() const noexcept;

    void set_cpuid(std::span<const kvm_cpuid_entry2> entries) const;
    /// Sets registers in order and stops at the first that is refused; returns how many were set.
    [[nodiscard]] std::size_t set_msrs(std::span<const kvm_msr_entry> entries) const;
    [[nodiscard]] kvm_sregs sregs() const;
    void set_sregs(const kvm_sregs& sregs) const;
    void set_regs(const kvm_regs& regs) const;
    /// One of KVM_MP_STATE_*.
    void set_mp_state(std::uint32_t state) const;
    /// The signals that are blocked while the guest runs, in place of the thread's own.
    void set_signal_mask(abi::SignalSet blocked) const;
    /// Host's frequency of the guest's time-stamp counter in kHz; 0 when unknown.
    [[nodiscard]] std::uint32_t tsc_khz() const noexcept;

    /// Runs the guest until the next exit.
    [[nodiscard]] int run() const noexcept;
    /// Tells a guest that uses kvmclock that it was held up. Fails, harmlessly, when it does not.
    void notify_paused() const noexcept;
    /// For messages about a guest that went wrong; nothing is promised when they fail.
    [[nodiscard]] int get_regs(kvm_regs& regs) const noexcept;
    [[nodiscard]] int get_sregs(kvm_sregs& sregs) const noexcept;

  private:
    io::Fd fd_;
    io::Mapping run_;
};

}  // namespace cxlvm
