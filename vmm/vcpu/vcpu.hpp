// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "io/log.hpp"
#include "io/thread.hpp"
#include "memory/address_space.hpp"
#include "vmm/exit_reason.hpp"
#include "vmm/kvm/kvm.hpp"
#include "vmm/vcpu/exit.hpp"

namespace cxlvm {

class VcpuGroup;

/// Is told when a vCPU cannot go on.
class VcpuOwner {
  public:
    /// On the vCPU's thread, which ends after this. `message` is one line, valid during the call.
    virtual void vcpu_ended(ExitReason reason, std::string_view message) noexcept = 0;

  protected:
    VcpuOwner() = default;
    VcpuOwner(const VcpuOwner&) = default;
    VcpuOwner& operator=(const VcpuOwner&) = default;
    ~VcpuOwner() = default;
};

/// What a vCPU works with; everything outlives it.
struct VcpuWiring {
    const Kvm& kvm;
    const KvmVm& vm;
    AddressSpace& memory;
    AddressSpace& ports;
    VcpuOwner& owner;
    io::Log& log;
};

/// One virtual CPU and the thread that runs it.
///
/// How it is called back: `immediate_exit` in the page shared with the kernel makes the next
/// KVM_RUN finish the instruction at hand and return; a signal gets the thread out of a KVM_RUN
/// that it is in. The signal is blocked in the thread and let in by KVM_RUN alone
/// (KVM_SET_SIGNAL_MASK), then taken back: no handler ever runs, so none is installed and the
/// process's own signals are left alone.
class Vcpu {
  public:
    /// `apic_id` is the number by which KVM and the guest know it.
    Vcpu(unsigned index, std::uint32_t apic_id, const VcpuWiring& wiring, VcpuGroup& group);
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;
    /// The thread must have been joined.
    ~Vcpu() = default;

    /// For setting registers before start().
    [[nodiscard]] const KvmVcpu& kvm() const noexcept { return kvm_; }
    [[nodiscard]] const ExitCounters& counters() const noexcept { return counters_; }

  private:
    friend class VcpuGroup;

    /// Starts the thread. Throws io::Error.
    void start();
    /// Makes the vCPU ask its group what to do, soon. Any thread; serialised by the group.
    void kick() noexcept;
    void join() noexcept { thread_.join(); }

    void run() noexcept;
    void acknowledge_kick() noexcept;
    void end(ExitVerdict verdict) noexcept;
    void end_failed(int error) noexcept;
    void log_registers(std::string_view why) noexcept;

    const unsigned index_;
    io::Log& log_;
    VcpuOwner& owner_;
    VcpuGroup& group_;
    ExitCounters counters_;
    ExitDispatcher dispatcher_;
    KvmVcpu kvm_;
    io::Thread thread_;
};

}  // namespace cxlvm
