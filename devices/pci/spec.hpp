// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/register.hpp"

/// What the standards say. Sections are those of the PCI Express Base Specification 6.0 unless
/// another one is named; "PCI" is the PCI Local Bus Specification 3.0.
namespace cxlvm::pci {

// Sizes (7.2).
inline constexpr std::size_t kConfigSpaceSize = 4096;
inline constexpr std::size_t kLegacyConfigSize = 256;
inline constexpr unsigned kDevicesPerBus = 32;
inline constexpr unsigned kFunctionsPerDevice = 8;

// Offsets common to all header types (7.5.1.1) and of type 0 (7.5.1.2); those of type 1 are in
// spec_bridge.hpp.
enum class ConfigOffset : std::uint16_t {
    VendorId = 0x00,
    DeviceId = 0x02,
    Command = 0x04,
    Status = 0x06,
    RevisionId = 0x08,
    ClassCode = 0x09,  ///< 3 bytes: programming interface, sub-class, base class
    CacheLineSize = 0x0c,
    LatencyTimer = 0x0d,
    HeaderType = 0x0e,
    Bist = 0x0f,
    Bar0 = 0x10,  ///< six dwords
    CardbusCis = 0x28,
    SubsystemVendorId = 0x2c,
    SubsystemId = 0x2e,
    ExpansionRom = 0x30,
    CapabilitiesPointer = 0x34,
    InterruptLine = 0x3c,
    InterruptPin = 0x3d,
};
/// Where capabilities may lie (7.5.1.1.11, 7.6.1).
inline constexpr std::uint16_t kFirstCapability = 0x40;
inline constexpr std::uint16_t kFirstExtendedCapability = 0x100;

// Command register (7.5.1.1.3).
inline constexpr Field<bool, 0, 0> kCommandIo;
inline constexpr Field<bool, 1, 1> kCommandMemory;
inline constexpr Field<bool, 2, 2> kCommandBusMaster;
inline constexpr Field<bool, 6, 6> kCommandParityResponse;
inline constexpr Field<bool, 8, 8> kCommandSerr;
inline constexpr Field<bool, 10, 10> kCommandInterruptDisable;

// Status register (7.5.1.1.4).
inline constexpr Field<bool, 3, 3> kStatusInterrupt;
inline constexpr Field<bool, 4, 4> kStatusCapabilities;
inline constexpr Field<bool, 8, 8> kStatusMasterDataParityError;
inline constexpr Field<bool, 11, 11> kStatusSignaledTargetAbort;
inline constexpr Field<bool, 12, 12> kStatusReceivedTargetAbort;
inline constexpr Field<bool, 13, 13> kStatusReceivedMasterAbort;
inline constexpr Field<bool, 14, 14> kStatusSignaledSystemError;
inline constexpr Field<bool, 15, 15> kStatusDetectedParityError;

// Header type register (7.5.1.1.9).
inline constexpr Field<std::uint8_t, 6, 0> kHeaderLayout;
enum class HeaderType : std::uint8_t { Endpoint = 0, Bridge = 1 };
inline constexpr Field<bool, 7, 7> kHeaderMultiFunction;

// Base address registers (7.5.1.2.1).
inline constexpr std::size_t kBarCount = 6;
inline constexpr std::uint64_t kBarMinimumSize = 16;
inline constexpr std::uint64_t kIoBarMinimumSize = 4;
inline constexpr std::uint64_t kIoBarMaximumSize = 256;
inline constexpr Field<bool, 0, 0> kBarIo;  ///< ports, and no type or prefetchability
inline constexpr Field<std::uint8_t, 2, 1> kBarType;
inline constexpr std::uint8_t kBarType64 = 0b10;  ///< anywhere in 64 bits; 0: within 32 bits
inline constexpr Field<bool, 3, 3> kBarPrefetchable;

// Capability header: the id, then the pointer to the next one, whose low two bits are reserved
// (PCI 6.7). 7.6.3: extended capability header.
inline constexpr std::uint16_t kCapabilityHeaderSize = 2;
inline constexpr std::uint16_t kExtendedCapabilityHeaderSize = 4;
inline constexpr Field<std::uint16_t, 15, 0> kExtendedCapabilityId;
inline constexpr Field<std::uint8_t, 19, 16> kExtendedCapabilityVersion;
inline constexpr Field<std::uint16_t, 31, 20> kExtendedCapabilityNext;

// Capability ids (PCI Code and ID Assignment Specification 1.16, 2).
inline constexpr std::uint8_t kCapabilityPowerManagement = 0x01;
inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityExpress = 0x10;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;

// Power management (7.5.2).
inline constexpr std::uint16_t kPowerManagementSize = 0x08;
enum class PowerManagementOffset : std::uint16_t { Capabilities = 0x02, Control = 0x04 };
inline constexpr Field<std::uint8_t, 2, 0> kPowerVersion;
inline constexpr std::uint8_t kPowerVersionExpress = 0b011;
enum class PowerState : std::uint8_t { D0 = 0, D1 = 1, D2 = 2, D3Hot = 3 };
inline constexpr Field<PowerState, 1, 0> kPowerState;
inline constexpr Field<bool, 3, 3> kPowerNoSoftReset;

// Message Signaled Interrupts, with 64-bit addresses and a mask for each vector (7.7.1).
inline constexpr std::uint16_t kMsiSize = 0x18;
inline constexpr unsigned kMsiMaximumVectors = 32;
enum class MsiOffset : std::uint16_t {
    Control = 0x02,
    Address = 0x04,
    AddressHigh = 0x08,
    Data = 0x0c,
    Mask = 0x10,
    Pending = 0x14,
};
inline constexpr Field<bool, 0, 0> kMsiEnable;
inline constexpr Field<std::uint8_t, 3, 1> kMsiMultipleCapable;  ///< log2 of what it asks for
inline constexpr Field<std::uint8_t, 6, 4> kMsiMultipleEnable;   ///< log2 of what it may use
inline constexpr Field<bool, 7, 7> kMsi64Bit;
inline constexpr Field<bool, 8, 8> kMsiPerVectorMasking;
/// Bits 1 and 0 of a message's address are 0 (7.7.1.3, 7.7.2.5).
inline constexpr Field<std::uint32_t, 31, 2> kMessageAddress;

// MSI-X (7.7.2).
inline constexpr std::uint16_t kMsixSize = 0x0c;
inline constexpr unsigned kMsixMaximumVectors = 2048;
enum class MsixOffset : std::uint16_t { Control = 0x02, Table = 0x04, Pba = 0x08 };
inline constexpr Field<std::uint16_t, 10, 0> kMsixTableSize;  ///< less one
inline constexpr Field<bool, 14, 14> kMsixFunctionMask;
inline constexpr Field<bool, 15, 15> kMsixEnable;
inline constexpr std::uint32_t kMsixPlaceAlignment = 8;  ///< the bits below name the BAR
inline constexpr std::uint32_t kMsixEntrySize = 16;
enum class MsixEntryOffset : std::uint8_t {
    Address = 0x0,
    AddressHigh = 0x4,
    Data = 0x8,
    Control = 0xc,
};
inline constexpr Field<bool, 0, 0> kMsixVectorMask;

// Class codes (PCI Code and ID Assignment Specification 1.16, 1.7): base class, sub-class,
// programming interface.
inline constexpr std::uint32_t kClassUnclassified = 0x00'ff'00;
inline constexpr std::uint32_t kClassOtherStorage = 0x01'80'00;
inline constexpr std::uint32_t kClassEthernet = 0x02'00'00;
inline constexpr std::uint32_t kClassOtherNetwork = 0x02'80'00;
inline constexpr std::uint32_t kClassOtherCommunication = 0x07'80'00;
inline constexpr std::uint32_t kClassHostBridge = 0x06'00'00;
inline constexpr std::uint32_t kClassPciBridge = 0x06'04'00;

// ECAM address (7.2.2, table 7-1).
inline constexpr Field<std::uint8_t, 27, 20> kEcamBus;
inline constexpr Field<std::uint8_t, 19, 15> kEcamDevice;
inline constexpr Field<std::uint8_t, 14, 12> kEcamFunction;
inline constexpr Field<std::uint16_t, 11, 0> kEcamRegister;

// CONFIG_ADDRESS and CONFIG_DATA (PCI 3.2.2.3.2), as offsets from port 0xCF8. The bits of
// kAddressRegister name a dword.
inline constexpr std::uint64_t kConfigAddressOffset = 0;
inline constexpr std::uint64_t kConfigDataOffset = 4;
inline constexpr Field<bool, 31, 31> kAddressEnable;
inline constexpr Field<std::uint8_t, 23, 16> kAddressBus;
inline constexpr Field<std::uint8_t, 15, 11> kAddressDevice;
inline constexpr Field<std::uint8_t, 10, 8> kAddressFunction;
inline constexpr Field<std::uint8_t, 7, 2> kAddressRegister;

// Reset control, port 0xCF9 of Intel chipsets (RST_CNT, ICH9 datasheet, 13.7.5).
inline constexpr std::uint64_t kResetControlOffset = 1;
inline constexpr Field<bool, 1, 1> kResetSystem;  ///< kind of reset: hard
inline constexpr Field<bool, 2, 2> kResetCpu;     ///< its rise resets
inline constexpr Field<bool, 3, 3> kResetFull;    ///< kind of reset: with a power cycle

}  // namespace cxlvm::pci
