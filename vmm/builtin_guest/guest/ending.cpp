// SPDX-License-Identifier: Apache-2.0
#include "vmm/builtin_guest/guest/ending.hpp"

#include "vmm/builtin_guest/guest/cpu.hpp"
#include "vmm/builtin_guest/guest/machine.hpp"

namespace guest {
namespace {

constexpr std::uint8_t kEndOfTransmission = 0x04;
constexpr std::uint16_t kPvpanic = 0x505;
constexpr std::uint8_t kPanicked = 1U << 0;
constexpr std::uint16_t kKeyboardCommand = 0x64;
constexpr std::uint8_t kPulseReset = 0xfe;

/// Gives the VMM a second to act on what it was told. No exit here: it stops the guest at its ease.
void wait_for_the_end() {
    const std::uint64_t khz = tsc_khz() != 0 ? tsc_khz() : 2'000'000;
    const std::uint64_t begin = time_stamp();
    while (time_stamp() - begin < khz * 1000) {
        asm volatile("pause");
    }
}

/// Sleep control register (ACPI 6.5, 4.8.3.7): SLP_TYPx in bits 4:2, SLP_EN.
void power_off(const MemoryMap& map, const AcpiFacts& acpi) {
    constexpr std::uint8_t kSleepEnable = 1U << 5;
    if (acpi.has_soft_off) {
        const auto type = static_cast<std::uint8_t>((acpi.soft_off_type & 7U) << 2);
        write_register(map, acpi.sleep_control, static_cast<std::uint8_t>(type | kSleepEnable));
        wait_for_the_end();
    }
}

void reset(const MemoryMap& map, const AcpiFacts& acpi) {
    if (acpi.reset.space != AcpiRegister::Space::None) {
        write_register(map, acpi.reset, acpi.reset_value);
        wait_for_the_end();
    }
    out8(kKeyboardCommand, kPulseReset);
    wait_for_the_end();
}

/// No interrupt table at all: the exception cannot be delivered, and neither can what follows.
void triple_fault() {
    struct [[gnu::packed]] {
        std::uint16_t limit = 0;
        std::uint64_t base = 0;
    } no_table;
    asm volatile("lidt %0; ud2" : : "m"(no_table));
}

}  // namespace

void echo(Console& console) {
    constexpr std::uint32_t kModulus = 65521;
    std::uint64_t count = 0;
    std::uint32_t low = 1;
    std::uint32_t high = 0;
    console.line("echo", "Ctrl-D ends");
    for (;;) {
        const std::uint8_t byte = console.read();
        if (byte == kEndOfTransmission) {
            break;
        }
        console.raw(byte);
        low = (low + byte) % kModulus;
        high = (high + low) % kModulus;
        ++count;
    }
    console.print('\n');
    console.line("echo", count, " bytes, adler32 ", Hex{high << 16 | low, 8});
}

void end(Console& console, const MemoryMap& map, const AcpiFacts& acpi, Ending ending) {
    switch (ending) {
        case Ending::PowerOff:
            console.line("end", "power off");
            power_off(map, acpi);
            console.line("", "still here: reset");
            break;
        case Ending::Reset:
            console.line("end", "reset");
            break;
        case Ending::Panic:
            console.line("end", "panic");
            out8(kPvpanic, kPanicked);
            wait_for_the_end();
            console.line("", "still here: reset");
            break;
        case Ending::TripleFault:
            console.line("end", "triple fault");
            triple_fault();
            break;
        case Ending::Hang:
            console.line("end", "hang");
            halt_forever();
        case Ending::Spin:
            console.line("end", "spin");
            for (;;) {
                asm volatile("pause");
            }
    }
    reset(map, acpi);
    console.line("", "still here: halted");
    halt_forever();
}

}  // namespace guest
