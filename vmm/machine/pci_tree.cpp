// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci_tree.hpp"

#include <utility>

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

PciTree::PciTree(PciPlan plan, IrqChip& chip, io::Log& log)
    : plan_(std::move(plan)), chip_(chip), log_(log) {
    for (std::uint32_t wire = 0; wire < layout::kPciWires; ++wire) {
        wires_.push_back(std::make_unique<Wire>(chip, layout::kPciGsi + wire));
    }
    for (const PciPlan::Bridge& bridge : plan_.bridges) {
        roots_.push_back(std::make_unique<Root>(bridge.first_bus));
        segment_.add(roots_.back()->bus, bridge.last_bus);
    }
}

PciTree::Slot& PciTree::add(const PciPlace& place) {
    const std::size_t index = plan_.index_of(place);
    Root& root = *roots_[index];
    const std::uint8_t device = ++root.devices;
    io::check(device <= plan_.bridges[index].devices, "PciTree: more devices than were planned");
    // The pin of a device behind a port comes out as the port's own (PCI-to-PCI Bridge Architecture
    // Specification 1.2, 9.1): INTA# of device 0 as INTA#.
    const std::uint32_t gsi = layout::pci_gsi(index, device);
    SharedIrq& wire = wires_[gsi - layout::kPciGsi]->shared;
    slots_.push_back(std::make_unique<Slot>(root.bus, device, wire, gsi));
    Slot& slot = *slots_.back();
    if (place.root_port) {
        slot.vector_ = std::make_unique<MsiIrqfd>("pci-root-port", chip_, log_);
        slot.port_ = std::make_unique<pci::RootPort>(++ports_, *slot.vector_);
        root.bus.attach({.bus = root.bus.number(), .device = device}, *slot.port_);
    }
    return slot;
}

void PciTree::Slot::plug(pci::PciFunction& function) {
    if (port_) {
        port_->attach(function);
    } else {
        bus_.attach({.bus = bus_.number(), .device = device_}, function);
    }
}

}  // namespace cxlvm
