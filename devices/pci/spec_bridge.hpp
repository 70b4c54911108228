// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "devices/register.hpp"

/// What the PCI Express Base Specification 6.0 says of bridges and of the PCI Express capability.
namespace cxlvm::pci {

// Offsets of the type 1 header (7.5.1.3).
inline constexpr std::size_t kBridgeBarCount = 2;
enum class BridgeOffset : std::uint16_t {
    PrimaryBus = 0x18,
    SecondaryBus = 0x19,
    SubordinateBus = 0x1a,
    SecondaryStatus = 0x1e,
    MemoryBase = 0x20,
    MemoryLimit = 0x22,
    PrefetchableBase = 0x24,
    PrefetchableLimit = 0x26,
    PrefetchableBaseUpper = 0x28,
    PrefetchableLimitUpper = 0x2c,
    BridgeControl = 0x3e,
};

// Base and limit of a window (7.5.1.3.8, 7.5.1.3.9): bits 31:20 of the address, and for
// prefetchable memory whether there are upper halves.
inline constexpr Field<std::uint16_t, 15, 4> kWindowAddress;
inline constexpr Field<bool, 0, 0> kWindow64Bit;

// Bridge control register (7.5.1.3.13).
inline constexpr Field<bool, 0, 0> kBridgeParityResponse;
inline constexpr Field<bool, 1, 1> kBridgeSerr;
inline constexpr Field<bool, 6, 6> kBridgeSecondaryReset;

// PCI Express capability (7.5.3).
inline constexpr std::uint16_t kExpressSize = 0x3c;
enum class ExpressOffset : std::uint16_t {
    Capabilities = 0x02,
    DeviceCapabilities = 0x04,
    DeviceControl = 0x08,
    DeviceStatus = 0x0a,
    LinkCapabilities = 0x0c,
    LinkControl = 0x10,
    LinkStatus = 0x12,
    SlotCapabilities = 0x14,
    SlotControl = 0x18,
    SlotStatus = 0x1a,
    RootControl = 0x1c,
    RootStatus = 0x20,
    DeviceCapabilities2 = 0x24,
    DeviceControl2 = 0x28,
    LinkCapabilities2 = 0x2c,
    LinkControl2 = 0x30,
};

// PCI Express capabilities register (7.5.3.2).
inline constexpr Field<std::uint8_t, 3, 0> kExpressVersion;
inline constexpr std::uint8_t kExpressVersion2 = 2;
enum class PortType : std::uint8_t { Endpoint = 0b0000, RootPort = 0b0100, Integrated = 0b1001 };
inline constexpr Field<PortType, 7, 4> kExpressPortType;
inline constexpr Field<bool, 8, 8> kExpressSlotImplemented;

// Device registers (7.5.3.3 to 7.5.3.5).
inline constexpr Field<bool, 15, 15> kDeviceRoleBasedErrors;
inline constexpr Field<bool, 28, 28> kDeviceFunctionReset;  ///< is capable of it
inline constexpr Field<std::uint8_t, 3, 0> kDeviceErrorReporting;
inline constexpr Field<bool, 4, 4> kDeviceRelaxedOrdering;
inline constexpr Field<bool, 11, 11> kDeviceNoSnoop;
inline constexpr Field<std::uint8_t, 14, 12> kDeviceReadRequestSize;
inline constexpr std::uint8_t kReadRequestSize512 = 0b010;
inline constexpr Field<bool, 15, 15> kDeviceInitiateFunctionReset;  ///< reads as 0
inline constexpr Field<std::uint8_t, 3, 0> kDeviceErrorsDetected;

// Link registers (7.5.3.6 to 7.5.3.8).
inline constexpr Field<std::uint8_t, 3, 0> kLinkSpeed;
inline constexpr std::uint8_t kLinkSpeed5 = 2;  ///< 5.0 GT/s
inline constexpr Field<std::uint8_t, 9, 4> kLinkWidth;
inline constexpr Field<bool, 20, 20> kLinkActiveReporting;
inline constexpr Field<bool, 21, 21> kLinkBandwidthNotification;
inline constexpr Field<bool, 22, 22> kLinkAspmOptionality;
inline constexpr Field<std::uint8_t, 31, 24> kLinkPortNumber;
inline constexpr Field<std::uint8_t, 1, 0> kLinkAspm;
inline constexpr Field<bool, 3, 3> kLinkReadCompletionBoundary;
inline constexpr Field<bool, 4, 4> kLinkDisable;
inline constexpr Field<bool, 6, 6> kLinkCommonClock;
inline constexpr Field<bool, 7, 7> kLinkExtendedSynch;
inline constexpr Field<bool, 10, 10> kLinkBandwidthManagementInterrupt;
inline constexpr Field<bool, 11, 11> kLinkAutonomousBandwidthInterrupt;
inline constexpr Field<bool, 12, 12> kLinkSlotClock;
inline constexpr Field<bool, 13, 13> kLinkActive;
inline constexpr Field<bool, 14, 14> kLinkBandwidthManagement;
inline constexpr Field<bool, 15, 15> kLinkAutonomousBandwidth;

// Slot registers (7.5.3.9 to 7.5.3.11).
inline constexpr Field<bool, 18, 18> kSlotNoCommandCompleted;
inline constexpr Field<std::uint16_t, 31, 19> kSlotNumber;
inline constexpr Field<std::uint8_t, 7, 6> kSlotAttentionIndicator;
inline constexpr Field<std::uint8_t, 9, 8> kSlotPowerIndicator;
inline constexpr std::uint8_t kIndicatorOff = 0b11;
inline constexpr Field<bool, 12, 12> kSlotLinkChangeEnable;
inline constexpr Field<bool, 6, 6> kSlotPresence;
inline constexpr Field<bool, 8, 8> kSlotLinkChanged;

// Root registers (7.5.3.12, 7.5.3.14).
inline constexpr Field<std::uint8_t, 3, 0> kRootInterruptEnables;  ///< errors, and PME
inline constexpr Field<bool, 16, 16> kRootPmeStatus;

// The second set of registers (7.5.3.15 to 7.5.3.19).
inline constexpr Field<bool, 4, 4> kDeviceCompletionTimeoutDisable;
inline constexpr Field<std::uint8_t, 7, 1> kLinkSupportedSpeeds;
inline constexpr std::uint8_t kLinkSpeedsUpTo5 = 0b11;
inline constexpr Field<std::uint8_t, 3, 0> kLinkTargetSpeed;
inline constexpr Field<bool, 4, 4> kLinkEnterCompliance;
inline constexpr Field<bool, 5, 5> kLinkAutonomousSpeedDisable;
inline constexpr Field<std::uint8_t, 9, 7> kLinkTransmitMargin;
inline constexpr Field<bool, 10, 10> kLinkModifiedCompliance;
inline constexpr Field<bool, 11, 11> kLinkComplianceSos;
inline constexpr Field<std::uint8_t, 15, 12> kLinkComplianceDeEmphasis;

}  // namespace cxlvm::pci
