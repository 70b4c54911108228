// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/board.hpp"

#include <fmt/format.h>

#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

void map_or_throw(AddressSpace& space, Region& region, std::uint64_t base) {
    if (const std::error_code error = space.map(region, base)) {
        throw io::Error(error, fmt::format("place {} at {:#x}", region.name(), base));
    }
}

}  // namespace

Board::Board(const CmosConfig& cmos, const BoardWiring& wiring)
    : serial_irq_(wiring.chip, layout::kSerialGsi),
      serial_(wiring.console, serial_irq_, wiring.log),
      rtc_(cmos, clock_),
      i8042_(wiring.events, wiring.log),
      pvpanic_(wiring.events, wiring.log),
      power_irq_(wiring.chip, layout::kAcpiEventGsi),
      power_(wiring.events, power_irq_, wiring.log),
      config_port_(wiring.pci, wiring.events),
      ecam_(wiring.pci, wiring.log),
      serial_ports_("serial port", uart::kPorts, serial_),
      rtc_ports_("real-time clock", cmos::kPorts, rtc_),
      i8042_data_("i8042 data", 1, i8042_.data_port()),
      i8042_command_("i8042 command", 1, i8042_.command_port()),
      pvpanic_port_("pvpanic", 1, pvpanic_),
      power_ports_("ACPI power", acpi::kPowerPorts, power_),
      config_ports_("PCI configuration ports", pci::ConfigPort::kPorts, config_port_),
      ecam_window_("PCI Express configuration", layout::kEcamSize, ecam_) {
    map_or_throw(wiring.ports, serial_ports_, layout::kSerialPort);
    map_or_throw(wiring.ports, rtc_ports_, layout::kRtcPort);
    map_or_throw(wiring.ports, i8042_data_, layout::kI8042Data);
    map_or_throw(wiring.ports, i8042_command_, layout::kI8042Command);
    map_or_throw(wiring.ports, pvpanic_port_, layout::kPvpanicPort);
    map_or_throw(wiring.ports, power_ports_, layout::kAcpiPort);
    map_or_throw(wiring.ports, config_ports_, layout::kPciConfigPort);
    map_or_throw(wiring.memory, ecam_window_, layout::kEcam.value());
}

}  // namespace cxlvm
