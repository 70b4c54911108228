// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/builtin_guest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vmm/builtin_guest/guest_machine.hpp"

namespace cxlvm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class BuiltinGuest : public KvmTest {};

TEST_F(BuiltinGuest, reports_the_machine_and_powers_off_through_acpi) {
    GuestMachine machine("exits=10 hello");
    machine.run_until();
    const std::string output = machine.serial.output();
    EXPECT_EQ(machine.events.event(), SystemEvent::PowerOff) << output;
    EXPECT_THAT(output, HasSubstr("cxlvm built-in guest\r\n"));
    EXPECT_THAT(output, HasSubstr("exits=10 hello"));
    EXPECT_THAT(output, HasSubstr("hypervisor KVMKVMKVM"));
    EXPECT_THAT(output, AllOf(HasSubstr("64-bit"), HasSubstr("LMA")));
    EXPECT_THAT(output, HasSubstr("0000000e0000 - 0000000fefff ACPI tables"));
    EXPECT_THAT(output, HasSubstr("0000000ff000 - 0000000fffff reserved"));
    for (const char* table : {"XSDT", "FACP", "APIC", "MCFG", "DSDT"}) {
        EXPECT_THAT(output, HasSubstr(table));
    }
    EXPECT_THAT(output, HasSubstr("APIC ids 0: 1 processors"));
    EXPECT_THAT(output, Not(HasSubstr("wrong")));
    EXPECT_THAT(output,
                HasSubstr("0 functions on 1 buses; ECAM at e0000000 and ports cf8/cfc agree"));
    EXPECT_THAT(output, HasSubstr("10 reads of port 3ff"));
    EXPECT_LT(output.size(), 4096U);
    RecordProperty("output", output);
}

TEST_F(BuiltinGuest, finds_functions_behind_bridges_and_compares_both_ways_to_them) {
    GuestMachine machine("exits=0");
    machine.pci.add(0, 0, {{0x00, 0x0008'1b36}, {0x08, 0x0600'0000}});
    machine.pci.add(
        0, 3, {{0x00, 0x000c'1b36}, {0x08, 0x0604'0000}, {0x0c, 0x0001'0000}, {0x18, 0x0002'0200}});
    machine.pci.add(2, 0, {{0x00, 0x11e8'1234}, {0x08, 0x00ff'0010}});
    machine.run_until();
    const std::string output = machine.serial.output();
    EXPECT_THAT(output, HasSubstr("00:00.0 1b36:0008 class 060000"));
    EXPECT_THAT(output, HasSubstr("00:03.0 1b36:000c class 060400"));
    EXPECT_THAT(output, HasSubstr("02:00.0 1234:11e8 class 00ff00"));
    EXPECT_THAT(output, HasSubstr("3 functions on 2 buses"));
    EXPECT_THAT(output, HasSubstr("agree"));
}

TEST_F(BuiltinGuest, notices_an_ecam_that_differs_from_the_ports) {
    GuestMachine machine("exits=0");
    machine.pci.add(0, 0, {{0x00, 0x0008'1b36}, {0x08, 0x0600'0000}});
    machine.pci.ecam_flaw = 0x0001'0000;
    machine.run_until();
    EXPECT_THAT(machine.serial.output(), HasSubstr("DIFFER"));
    EXPECT_EQ(machine.events.event(), SystemEvent::PowerOff);
}

TEST_F(BuiltinGuest, ends_by_reset_or_panic_when_told_so) {
    GuestMachine reset("quiet reset");
    reset.run_until();
    EXPECT_EQ(reset.events.event(), SystemEvent::Reset);
    EXPECT_THAT(reset.serial.output(), Not(HasSubstr("cxlvm")));
    GuestMachine panic("quiet panic");
    panic.run_until();
    EXPECT_EQ(panic.events.event(), SystemEvent::GuestPanic);
}

TEST_F(BuiltinGuest, crashes_by_triple_fault_when_told_so) {
    GuestMachine machine("quiet triplefault");
    machine.run_until();
    EXPECT_FALSE(machine.events.event());
    EXPECT_EQ(machine.ending.reason(), ExitReason::Crash) << machine.ending.message();
}

TEST_F(BuiltinGuest, stays_in_the_guest_when_told_to_hang_or_spin) {
    for (const std::string word : {"hang", "spin"}) {
        GuestMachine machine("quiet " + word);
        machine.run_until(word + "\r\n");
        EXPECT_FALSE(machine.events.event()) << word;
        EXPECT_FALSE(machine.ending.reason()) << word;
    }
}

TEST_F(BuiltinGuest, echoes_serial_input_with_its_checksum) {
    GuestMachine machine("quiet echo", "Wikipedia\x04");
    machine.run_until();
    EXPECT_THAT(machine.serial.output(), HasSubstr("Wikipedia\r\n"));
    EXPECT_THAT(machine.serial.output(), HasSubstr("9 bytes, adler32 11e60398"));
    EXPECT_EQ(machine.events.event(), SystemEvent::PowerOff);
}

/// Breaks the installed tables in one byte and runs the guest.
std::string run_with_flaw(Gpa address, std::uint8_t value,
                          std::optional<SystemEvent> expected = SystemEvent::PowerOff) {
    GuestMachine machine("exits=0");
    EXPECT_TRUE(machine.ram.store(address, value));
    machine.run_until();
    EXPECT_EQ(machine.events.event(), expected);
    return machine.serial.output();
}

TEST_F(BuiltinGuest, reports_broken_tables_and_follows_none_of_them) {
    constexpr std::uint64_t kRsdp = layout::kAcpiTables.value();
    constexpr std::uint64_t kDsdt = kRsdp + 64;  // tables.cpp puts it right behind the RSDP
    // Without a usable FADT there is no power-off register: the i8042 resets instead.
    EXPECT_THAT(run_with_flaw(Gpa(kRsdp), 'X', SystemEvent::Reset), HasSubstr("RSDP is broken"));
    EXPECT_THAT(run_with_flaw(Gpa(kDsdt + 40), 'X', SystemEvent::Reset),
                HasSubstr("wrong checksum"));
    EXPECT_THAT(run_with_flaw(Gpa(kDsdt + 7), 0xff, SystemEvent::Reset), HasSubstr("wrong length"));
}

}  // namespace
}  // namespace cxlvm::test
