// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/irq_chip.hpp"

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

IrqChip::IrqChip(const Kvm& kvm, const KvmVm& vm) : vm_(vm), in_kernel_(vm), routes_(kvm, vm) {}

IrqPin::IrqPin(const IrqChip& chip, std::uint32_t gsi) noexcept : vm_(chip.vm()), gsi_(gsi) {
    io::check(gsi < layout::kIoApicPins, "IrqPin: no such pin");
}

void IrqPin::pulse() noexcept {
    set(false);
    set(true);
}

void IrqPin::set(bool level) noexcept {
    // A pin that exists and a chip that exists leave nothing to fail.
    static_cast<void>(vm_.set_irq_line(gsi_, level));
}

}  // namespace cxlvm
