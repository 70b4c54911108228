// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/dsdt.hpp"

#include <fmt/format.h>

#include <utility>

#include "devices/acpi/power.hpp"
#include "io/error.hpp"
#include "vmm/acpi/aml.hpp"
#include "vmm/acpi/resources.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::acpi {
namespace {

using namespace aml;  // NOLINT(google-build-using-namespace): the file is written in its words

constexpr std::uint8_t kRevision = 2;           // 64-bit integers
constexpr std::uint64_t kButtonPressed = 0x80;  // notification of a power button (table 5.170)

/// \_S5 (7.4.2.6): what goes into SLP_TYP of the sleep control register.
Term soft_off() {
    return name("\\_S5",
                package({integer(kSleepTypeS5), integer(kSleepTypeS5), integer(0), integer(0)}));
}

/// _OSC of a PCI Express host bridge (ACPI 6.5, 6.2.11; PCI Firmware Specification 3.3, 4.5.1): the
/// guest may take over everything that PCI Express defines, since no firmware uses any of it.
Term pci_osc() {
    constexpr std::uint32_t kUnrecognizedUuid = 1U << 2;
    constexpr std::uint32_t kUnrecognizedRevision = 1U << 3;
    constexpr std::uint32_t kCapabilitiesMasked = 1U << 4;
    // Native hot plug, standard hot plug, power events, error reporting, capability structure.
    constexpr std::uint32_t kGranted = 0x1f;
    const Term status = name_string("CDW1");
    const Term control = name_string("CDW3");
    const Term wanted = local(0);
    return method(
        "_OSC", 4,
        {create_dword_field(argument(3), 0, "CDW1"),
         if_then(equal(argument(0), uuid("33DB4D5B-1FF7-401C-9657-7441C03DD766")),
                 {create_dword_field(argument(3), 8, "CDW3"),
                  bit_and(control, integer(kGranted), wanted),
                  if_then(logical_not(equal(argument(1), integer(1))),
                          {bit_or(status, integer(kUnrecognizedRevision), status)}),
                  if_then(logical_not(equal(control, wanted)),
                          {bit_or(status, integer(kCapabilitiesMasked), status)}),
                  store(wanted, control)}),
         otherwise({bit_or(status, integer(kUnrecognizedUuid), status)}), give_back(argument(3))});
}

/// _PRT (6.2.13): the I/O APIC pins of INTA#; PCI's wires are level-triggered and active low, which
/// an entry without a link device implies.
Term interrupt_routing(std::size_t bridge, std::uint32_t devices) {
    constexpr std::uint64_t kAnyFunction = 0xffff;
    constexpr std::uint64_t kPinA = 0;
    constexpr std::uint64_t kNoLinkDevice = 0;
    Term rows;
    for (std::uint32_t number = 1; number <= devices; ++number) {
        rows.append(package({integer(std::uint64_t{number} << 16 | kAnyFunction), integer(kPinA),
                             integer(kNoLinkDevice), integer(layout::pci_gsi(bridge, number))}));
    }
    return name("_PRT", package(devices, rows));
}

/// The I/O ports that a host bridge passes on: all but those of configuration, which are its own.
Term port_windows() {
    constexpr std::uint16_t kConfigPorts = 8;
    constexpr auto kAfterConfig = static_cast<std::uint16_t>(layout::kPciConfigPort + kConfigPorts);
    return Terms{io_ports(layout::kPciConfigPort, kConfigPorts),
                 io_window(0, layout::kPciConfigPort - 1), io_window(kAfterConfig, 0xffff)};
}

/// All are of one segment group; the first one has the I/O ports.
Term pci_host_bridge(std::size_t index, const HostBridge& bridge) {
    return device(
        fmt::format("PCI{:X}", index),
        {name("_HID", eisa_id("PNP0A08")), name("_CID", eisa_id("PNP0A03")),
         name("_UID", integer(index)), name("_SEG", integer(0)),
         name("_BBN", integer(bridge.first_bus)),
         name("_CRS", resource_template({bus_window(bridge.first_bus, bridge.last_bus),
                                         index == 0 ? port_windows() : Term(),
                                         memory_window_32(bridge.mmio32),
                                         memory_window_64(bridge.mmio64)})),
         bridge.devices != 0 ? interrupt_routing(index, bridge.devices) : Term(), pci_osc()});
}

Term pci_host_bridges(const std::vector<HostBridge>& bridges) {
    Term list;
    for (std::size_t index = 0; index < bridges.size(); ++index) {
        list.append(pci_host_bridge(index, bridges[index]));
    }
    return list;
}

/// What belongs to the board and to no device: the guest must not place anything there. Linux uses
/// the ECAM only if it is reserved so (PCI Firmware Specification 3.3, 4.1.2).
Term motherboard() {
    return device(
        "MBRD",
        {name("_HID", eisa_id("PNP0C02")), name("_UID", integer(0)),
         name("_CRS", resource_template(
                          {fixed_memory(static_cast<std::uint32_t>(layout::kEcam.value()),
                                        static_cast<std::uint32_t>(layout::kEcamSize)),
                           io_ports(layout::kI8042Data, 1), io_ports(layout::kI8042Command, 1),
                           io_ports(layout::kAcpiPort, kPowerPorts)}))});
}

Term serial_port() {
    return device("COM1", {name("_HID", eisa_id("PNP0501")), name("_UID", integer(0)),
                           name("_CRS", resource_template({io_ports(layout::kSerialPort, 8),
                                                           edge_interrupt(layout::kSerialGsi)}))});
}

/// Without an interrupt: the clock is there to be read.
Term real_time_clock() {
    return device("RTC", {name("_HID", eisa_id("PNP0B00")),
                          name("_CRS", resource_template({io_ports(layout::kRtcPort, 2)}))});
}

Term panic_device() {
    return device("PVPN", {name("_HID", string("QEMU0001")),
                           name("_CRS", resource_template({io_ports(layout::kPvpanicPort, 1)}))});
}

Term power_button() {
    return device("PWRB", {name("_HID", eisa_id("PNP0C0C"))});
}

/// Generic Event Device (5.6.9.2): its interrupt makes the guest run _EVT, which asks the event
/// register what happened, acknowledges that, and passes it on.
Term event_device() {
    const Term events = name_string("EVTS");
    const Term seen = local(0);
    const auto button = kPowerButtonEvent.mask<std::uint8_t>();
    return device("GED", {name("_HID", string("ACPI0013")), name("_UID", integer(0)),
                          name("_CRS", resource_template({edge_interrupt(layout::kAcpiEventGsi)})),
                          io_region("EVTR", layout::kAcpiPort + power_offset::kEvents, 1),
                          field("EVTR", {{"EVTS", 8}}),
                          method("_EVT", 1,
                                 {store(events, seen), store(seen, events),
                                  if_then(bit_and(seen, integer(button), Term()),
                                          {notify(name_string("\\_SB.PWRB"), kButtonPressed)})})});
}

/// Processor devices (8.4), tied to the MADT by their UIDs.
Term processors(std::size_t count) {
    Term list;
    for (std::size_t uid = 0; uid < count; ++uid) {
        list.append(device(fmt::format("C{:03X}", uid),
                           {name("_HID", string("ACPI0007")), name("_UID", integer(uid))}));
    }
    return list;
}

}  // namespace

TableBytes dsdt(const AcpiConfig& config) {
    io::check(config.apic_ids.size() <= kMaxProcessors, "more processors than names for them");
    io::check(config.host_bridges.size() <= kMaxHostBridges, "more host bridges than names");
    Table table("DSDT", kRevision);
    // \_S5 stands first, where a guest without an AML interpreter finds it at once.
    table.bytes(soft_off().bytes());
    table.bytes(scope("\\_SB", {pci_host_bridges(config.host_bridges), motherboard(), serial_port(),
                                real_time_clock(), panic_device(), power_button(), event_device(),
                                processors(config.apic_ids.size())})
                    .bytes());
    return std::move(table).finish();
}

}  // namespace cxlvm::acpi
