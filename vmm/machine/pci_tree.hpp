// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "devices/irq.hpp"
#include "devices/pci/bus.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/root_port.hpp"
#include "devices/pci/segment.hpp"
#include "devices/pci/spec_bridge.hpp"
#include "devices/pci_place.hpp"
#include "devices/shared_irq.hpp"
#include "io/log.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/msi_irqfd.hpp"
#include "vmm/machine/pci_plan.hpp"

namespace cxlvm {

/// The PCI buses of a machine: host bridges, root ports, and the wires of interrupt pins. Devices
/// are plugged in one after the other, in the order of places_of(), and stay while a vCPU runs.
class PciTree {
  public:
    /// A place for one function, and what the function is wired to there.
    class Slot {
      public:
        Slot(pci::PciBus& bus, std::uint8_t device, SharedIrq& wire, std::uint32_t gsi) noexcept
            : bus_(bus), device_(device), pin_(wire), gsi_(gsi) {}

        /// Where its INTA# leads.
        [[nodiscard]] IrqLine& pin() noexcept { return pin_; }
        /// The same as a pin of the I/O APIC, which others drive too.
        [[nodiscard]] std::uint32_t gsi() const noexcept { return gsi_; }
        /// What its PCI Express capability has to say.
        [[nodiscard]] pci::PortType type() const noexcept {
            return port_ ? pci::PortType::Endpoint : pci::PortType::Integrated;
        }
        /// Whether I/O requests reach it: those that the first host bridge takes.
        [[nodiscard]] bool has_ports() const noexcept { return !port_ && bus_.number() == 0; }
        /// Puts `function` here; it lives as long as requests come. Once.
        void plug(pci::PciFunction& function);

      private:
        friend class PciTree;
        pci::PciBus& bus_;
        const std::uint8_t device_;
        SharedIrq::Holder pin_;
        const std::uint32_t gsi_;
        std::unique_ptr<MsiIrqfd> vector_;  ///< of the port
        std::unique_ptr<pci::RootPort> port_;
    };

    /// `chip` and `log` outlive this.
    PciTree(PciPlan plan, IrqChip& chip, io::Log& log);
    PciTree(const PciTree&) = delete;
    PciTree& operator=(const PciTree&) = delete;
    ~PciTree() = default;

    [[nodiscard]] pci::Segment& segment() noexcept { return segment_; }
    /// The next free device of the host bridge that `place` names, which the plan has counted; it
    /// lives as long as this. Throws io::Error.
    [[nodiscard]] Slot& add(const PciPlace& place);

  private:
    /// A wire to the I/O APIC.
    struct Wire {
        Wire(const IrqChip& chip, std::uint32_t gsi) noexcept : pin(chip, gsi), shared(pin) {}
        IrqPin pin;
        SharedIrq shared;
    };
    struct Root {
        explicit Root(std::uint8_t number) : bus(number) { bus.attach({.bus = number}, bridge); }
        pci::HostBridge bridge;
        pci::PciBus bus;
        std::uint8_t devices = 0;  ///< that it has so far, beside the bridge
    };

    // Configuration.
    const PciPlan plan_;
    // Wiring.
    IrqChip& chip_;
    io::Log& log_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::vector<std::unique_ptr<Root>> roots_;
    pci::Segment segment_;
    std::vector<std::unique_ptr<Slot>> slots_;
    std::uint8_t ports_ = 0;
};

}  // namespace cxlvm
