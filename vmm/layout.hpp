// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "memory/address.hpp"

/// Where things are in the guest's physical address space and in its I/O ports. Fixed addresses
/// stand here alone; what depends on the amount of RAM or on the guest's address width is computed.
namespace cxlvm::layout {

// Below 1 MiB. RAM, except where the memory map says reserved.
inline constexpr Gpa kGdt{0x500};          ///< boot GDT
inline constexpr Gpa kBootParams{0x7000};  ///< Linux zero page, or the PVH start info
inline constexpr Gpa kPageTables{0x9000};  ///< identity map for the 64-bit entry, 6 pages
inline constexpr Gpa kBootStack{0x8ff0};   ///< top of a stack for code of our own
inline constexpr Gpa kSetupData{0x10000};  ///< Linux setup_data chain, one page
inline constexpr Gpa kCommandLine{0x20000};
inline constexpr std::uint64_t kCommandLineSize = 0x10000;
inline constexpr Gpa kLowReserved{0x9fc00};  ///< start of the legacy hole (EBDA, VGA, option ROMs)
inline constexpr Gpa kAcpiTables{0xe0000};   ///< where Linux scans for the RSDP (ACPI 6.5, 5.2.5.1)
inline constexpr std::uint64_t kAcpiTablesSize = 0x1f000;
inline constexpr Gpa kFirmware{0xff000};         ///< last page below 1 MiB, where a PC's BIOS ends
inline constexpr Gpa kResetVector{0xffff0};      ///< FFFF:0000 in real mode
inline constexpr Gpa kHighMemory{0x100000};      ///< 1 MiB
inline constexpr Gpa kDefaultKernel{0x1000000};  ///< 16 MiB, where kernels prefer to be

// The 32-bit hole.
inline constexpr Gpa kHoleBase{0xc000'0000};  ///< end of low RAM at most
inline constexpr Gpa kMmio32{0xc000'0000};    ///< window for 32-bit BARs
inline constexpr std::uint64_t kMmio32Size = 0x2000'0000;
inline constexpr Gpa kEcam{0xe000'0000};  ///< PCIe ECAM of all buses, those that exist and others
inline constexpr std::uint64_t kEcamSize = 256ULL << 20;
inline constexpr Gpa kIoApic{0xfec0'0000};
inline constexpr Gpa kLocalApic{0xfee0'0000};
inline constexpr Gpa kKvmIdentityMap{0xfffb'c000};  ///< KVM_SET_IDENTITY_MAP_ADDR, one page
inline constexpr Gpa kKvmTss{0xfffb'd000};          ///< KVM_SET_TSS_ADDR, three pages
inline constexpr Gpa kHighRam{0x1'0000'0000};       ///< RAM that does not fit below the hole

// I/O ports.
inline constexpr std::uint16_t kRtcPort = 0x70;  ///< 2 ports
inline constexpr std::uint16_t kI8042Data = 0x60;
inline constexpr std::uint16_t kI8042Command = 0x64;
inline constexpr std::uint16_t kSerialPort = 0x3f8;  ///< 8 ports
inline constexpr std::uint16_t kPvpanicPort = 0x505;
inline constexpr std::uint16_t kAcpiPort = 0x600;       ///< sleep, reset, event registers; 16 ports
inline constexpr std::uint16_t kPciConfigPort = 0xcf8;  ///< 8 ports; 0xcf9 is the reset control

// Global system interrupts of the in-kernel I/O APIC.
inline constexpr std::uint32_t kSerialGsi = 4;
inline constexpr std::uint32_t kRtcGsi = 8;
inline constexpr std::uint32_t kAcpiEventGsi = 9;  ///< power button, by a Generic Event Device
inline constexpr std::uint32_t kIoApicPins = 24;
/// INTA# of the devices on the root buses, which share these wires (level-triggered).
inline constexpr std::uint32_t kPciGsi = 16;
inline constexpr std::uint32_t kPciWires = 8;
/// Of a device by its number on the root bus of the host bridge that this is the index of.
[[nodiscard]] constexpr std::uint32_t pci_gsi(std::size_t bridge, std::uint32_t device) noexcept {
    return kPciGsi + static_cast<std::uint32_t>((bridge + device) % kPciWires);
}

namespace checks {

struct Span {
    std::uint64_t base;
    std::uint64_t size;
};

/// Whether each begins where the one before it ends, or later.
template <std::size_t kCount>
constexpr bool ascending_and_apart(const std::array<Span, kCount>& spans) noexcept {
    for (std::size_t i = 0; i + 1 < kCount; ++i) {
        if (spans[i].base + spans[i].size > spans[i + 1].base) {
            return false;
        }
    }
    return true;
}

inline constexpr std::uint64_t kPage = 0x1000;
inline constexpr std::uint64_t kGdtSize = 4ULL * 8;

static_assert(ascending_and_apart(std::array{
    Span{kGdt.value(), kGdtSize},
    Span{kBootParams.value(), kPage},
    Span{kBootStack.value(), 0},  // grows down, towards the boot parameters
    Span{kPageTables.value(), 6 * kPage},
    Span{kSetupData.value(), kPage},
    Span{kCommandLine.value(), kCommandLineSize},
    Span{kLowReserved.value(), 0},
    Span{kAcpiTables.value(), kAcpiTablesSize},
    Span{kFirmware.value(), kPage},
    Span{kHighMemory.value(), 0},
    Span{kDefaultKernel.value(), 0},
    Span{kHoleBase.value(), 0},
    Span{kMmio32.value(), kMmio32Size},
    Span{kEcam.value(), kEcamSize},
    Span{kIoApic.value(), kPage},
    Span{kLocalApic.value(), kPage},
    Span{kKvmIdentityMap.value(), kPage},
    Span{kKvmTss.value(), 3 * kPage},
    Span{kHighRam.value(), 0},
}));
static_assert(kBootParams.value() + kPage < kBootStack.value(), "no room for the stack");
static_assert(kFirmware < kResetVector && kResetVector < kHighMemory);

static_assert(ascending_and_apart(std::array{
    Span{kI8042Data, 1},
    Span{kI8042Command, 1},
    Span{kRtcPort, 2},
    Span{kSerialPort, 8},
    Span{kPvpanicPort, 1},
    Span{kAcpiPort, 16},
    Span{kPciConfigPort, 8},
}));

static_assert(kSerialGsi < kRtcGsi && kRtcGsi < kAcpiEventGsi && kAcpiEventGsi < kPciGsi);
static_assert(kPciGsi + kPciWires <= kIoApicPins);

}  // namespace checks

}  // namespace cxlvm::layout
