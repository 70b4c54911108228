// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/acpi/power.hpp"
#include "devices/character.hpp"
#include "devices/legacy/cmos_rtc.hpp"
#include "devices/legacy/i8042.hpp"
#include "devices/legacy/pvpanic.hpp"
#include "devices/legacy/serial_16550.hpp"
#include "devices/pci/config_port.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/segment.hpp"
#include "devices/system_event.hpp"
#include "io/log.hpp"
#include "memory/address_space.hpp"
#include "vmm/kvm/irq_chip.hpp"

namespace cxlvm {

/// What a board is wired to; everything outlives it.
struct BoardWiring {
    AddressSpace& memory;
    AddressSpace& ports;
    const IrqChip& chip;
    pci::Segment& pci;
    CharacterHost& console;
    SystemEventSink& events;
    io::Log& log;
};

/// The devices that every machine has, each at the address and on the interrupt that
/// vmm/layout.hpp gives it.
class Board {
  public:
    /// Throws io::Error when an address is taken.
    Board(const CmosConfig& cmos, const BoardWiring& wiring);
    Board(const Board&) = delete;
    Board& operator=(const Board&) = delete;
    ~Board() = default;

    [[nodiscard]] Serial16550& serial() noexcept { return serial_; }
    [[nodiscard]] acpi::Power& power() noexcept { return power_; }

  private:
    // Devices, each behind what it is wired to; then the regions by which the guest reaches them.
    IrqPin serial_irq_;
    Serial16550 serial_;
    HostWallClock clock_;
    CmosRtc rtc_;
    I8042 i8042_;
    Pvpanic pvpanic_;
    IrqPin power_irq_;
    acpi::Power power_;
    pci::ConfigPort config_port_;
    pci::Ecam ecam_;

    Region serial_ports_;
    Region rtc_ports_;
    Region i8042_data_;
    Region i8042_command_;
    Region pvpanic_port_;
    Region power_ports_;
    Region config_ports_;
    Region ecam_window_;
};

}  // namespace cxlvm
