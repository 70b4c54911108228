// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "devices/irq.hpp"
#include "vmm/kvm/gsi_routes.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// The interrupt controllers in the kernel: an I/O APIC whose pins are GSI 0 to 23, and a local
/// APIC for each vCPU. KVM makes a PIC too, which no GSI leads to, and there is no PIT: the guest's
/// ACPI tables say hardware-reduced, and such a guest uses neither.
class IrqChip {
  public:
    /// Before the first vCPU. Throws io::Error.
    IrqChip(const Kvm& kvm, const KvmVm& vm);

    [[nodiscard]] const KvmVm& vm() const noexcept { return vm_; }
    [[nodiscard]] GsiRoutes& routes() noexcept { return routes_; }

  private:
    /// Makes it, before there are routes to it.
    struct InKernel {
        explicit InKernel(const KvmVm& vm) { vm.create_irqchip(); }
    };

    const KvmVm& vm_;
    [[no_unique_address]] InKernel in_kernel_;
    GsiRoutes routes_;
};

/// One pin of the I/O APIC, driven by KVM_IRQ_LINE.
///
/// The other way is an irqfd. For an I/O APIC pin its eventfd write only queues work for another
/// kernel thread, which then does what the two ioctls of a pulse do: a pulse by irqfd costs one
/// system call less here, but a thread switch more, and arrives later. (For message-signalled
/// interrupts it is the other way round: those an irqfd delivers on the spot.)
///
/// A pulse lowers the wire, then raises it and leaves it high. So a rise follows every call of
/// pulse, also when two threads' ioctls interleave; the other order could lose one: a thread that
/// has raised the wire and not yet lowered it swallows the rise of the second.
class IrqPin final : public IrqLine {
  public:
    /// `gsi` below layout::kIoApicPins.
    IrqPin(const IrqChip& chip, std::uint32_t gsi) noexcept;

    void pulse() noexcept override;
    void set(bool level) noexcept override;

  private:
    const KvmVm& vm_;
    std::uint32_t gsi_;
};

}  // namespace cxlvm
