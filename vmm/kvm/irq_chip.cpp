// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/irq_chip.hpp"

#include <array>

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

IrqChip::IrqChip(const KvmVm& vm) : vm_(vm) {
    vm_.create_irqchip();
    // KVM's own table sends GSI 0 to 15 to the PIC as well, where nobody waits for them.
    std::array<kvm_irq_routing_entry, layout::kIoApicPins> routes{};
    for (std::uint32_t gsi = 0; gsi < routes.size(); ++gsi) {
        routes[gsi].gsi = gsi;
        routes[gsi].type = KVM_IRQ_ROUTING_IRQCHIP;
        routes[gsi].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
        routes[gsi].u.irqchip.pin = gsi;
    }
    vm_.set_gsi_routes(routes);
}

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
