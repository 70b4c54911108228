// SPDX-License-Identifier: Apache-2.0
#include "vmm/acpi/fadt.hpp"

#include <utility>

#include "devices/acpi/power.hpp"
#include "devices/legacy/cmos_rtc.hpp"
#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::acpi {
namespace {

constexpr std::uint8_t kRevision = 6;
constexpr std::uint8_t kMinorRevision = 5;
constexpr std::size_t kSize = 276;
constexpr std::uint8_t kEnterpriseServer = 4;  // Preferred_PM_Profile

// IA-PC boot architecture flags (5.2.9.3). The keyboard controller's bit stays clear: nothing is
// attached to the one at port 0x64, which is there for its reset line, so no driver should spend
// time on it. "CMOS RTC not present" stays clear, because there is one.
constexpr std::uint16_t kLegacyDevices = 1U << 0;  // a serial port at an ISA address
constexpr std::uint16_t kVgaNotPresent = 1U << 2;
constexpr std::uint16_t kNoPcieAspm = 1U << 4;

// Fixed feature flags (5.2.9, table 5.10).
constexpr std::uint32_t kWbinvd = 1U << 0;
constexpr std::uint32_t kProcC1 = 1U << 2;
constexpr std::uint32_t kNoFixedPowerButton = 1U << 4;
constexpr std::uint32_t kNoFixedSleepButton = 1U << 5;
constexpr std::uint32_t kNoFixedRtcWake = 1U << 6;
constexpr std::uint32_t kResetRegisterSupported = 1U << 10;
constexpr std::uint32_t kHeadless = 1U << 12;
constexpr std::uint32_t kHardwareReduced = 1U << 20;

constexpr std::uint16_t port_of(std::uint16_t offset) {
    return static_cast<std::uint16_t>(layout::kAcpiPort + offset);
}

}  // namespace

TableBytes fadt(Gpa dsdt) {
    io::check(dsdt.value() <= 0xffff'ffff, "the DSDT lies above 4 GiB");
    Table table("FACP", kRevision);
    table.put(std::uint32_t{0});  // FIRMWARE_CTRL: no FACS on hardware-reduced machines (5.2.10)
    table.put(static_cast<std::uint32_t>(dsdt.value()));
    table.put(std::uint8_t{0}).put(kEnterpriseServer);
    table.zeros(108 - 46);  // SCI_INT to MON_ALRM: fixed hardware that is not there
    table.put(static_cast<std::uint8_t>(cmos::Index::Century));  // CENTURY
    table.put(static_cast<std::uint16_t>(kLegacyDevices | kVgaNotPresent | kNoPcieAspm));
    table.put(std::uint8_t{0});
    table.put(kWbinvd | kProcC1 | kNoFixedPowerButton | kNoFixedSleepButton | kNoFixedRtcWake |
              kResetRegisterSupported | kHeadless | kHardwareReduced);
    table.io_register(port_of(power_offset::kReset)).put(kResetValue);
    table.put(std::uint16_t{0}).put(kMinorRevision);  // ARM_BOOT_ARCH, minor version
    table.put(std::uint64_t{0}).put(dsdt.value());    // X_FIRMWARE_CTRL, X_DSDT
    table.zeros(244 - 148);                           // X_PM1a_EVT_BLK to X_GPE1_BLK
    table.io_register(port_of(power_offset::kSleepControl));
    table.io_register(port_of(power_offset::kSleepStatus));
    table.text("CXLVM").zeros(3);  // hypervisor vendor identity
    io::check(table.size() == kSize, "the FADT has a wrong length");
    return std::move(table).finish();
}

}  // namespace cxlvm::acpi
