// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/register.hpp"
#include "devices/register_file.hpp"

/// What Virtual I/O Device (VIRTIO) Version 1.2 says, with its sections. Modern devices alone:
/// everything in memory is little-endian.
namespace cxlvm::virtio {

static_assert(std::endian::native == std::endian::little);

// Device status field (2.1).
inline constexpr Field<bool, 0, 0> kStatusAcknowledge;
inline constexpr Field<bool, 1, 1> kStatusDriver;
inline constexpr Field<bool, 2, 2> kStatusDriverOk;
inline constexpr Field<bool, 3, 3> kStatusFeaturesOk;
inline constexpr Field<bool, 6, 6> kStatusNeedsReset;
inline constexpr Field<bool, 7, 7> kStatusFailed;

// Feature bits (2.2) that belong to no type of device (6).
[[nodiscard]] constexpr std::uint64_t feature(unsigned bit) noexcept {
    return std::uint64_t{1} << bit;
}
inline constexpr std::uint64_t kFeatureNotifyOnEmpty = feature(24);  ///< legacy alone (6.3)
inline constexpr std::uint64_t kFeatureAnyLayout = feature(27);      ///< legacy alone (6.3)
inline constexpr std::uint64_t kFeatureIndirectDesc = feature(28);
inline constexpr std::uint64_t kFeatureEventIdx = feature(29);
inline constexpr std::uint64_t kFeatureVersion1 = feature(32);
inline constexpr std::uint64_t kFeatureAccessPlatform = feature(33);
inline constexpr std::uint64_t kFeatureRingPacked = feature(34);
inline constexpr std::uint64_t kFeatureInOrder = feature(35);
inline constexpr std::uint64_t kFeatureOrderPlatform = feature(36);
inline constexpr std::uint64_t kFeatureSrIov = feature(37);
inline constexpr std::uint64_t kFeatureNotificationData = feature(38);
inline constexpr std::uint64_t kFeatureNotifConfigData = feature(39);
inline constexpr std::uint64_t kFeatureRingReset = feature(40);
/// Bits 24 to 49, in use or not: for the transport and the queues, never for a type of device
/// (2.2).
inline constexpr std::uint64_t kReservedFeatures = feature(50) - feature(24);

/// Types of devices (5).
enum class DeviceId : std::uint16_t {
    Network = 1,
    Block = 2,
    Console = 3,
    Entropy = 4,
    Balloon = 5,
    Socket = 19,
};

// Split virtqueues (2.7).
inline constexpr std::uint16_t kMaxQueueSize = 32768;

/// An element of the descriptor table (2.7.5), and of an indirect table (2.7.5.3).
struct Descriptor {
    std::uint64_t address;
    std::uint32_t length;
    std::uint16_t flags;
    std::uint16_t next;
};
static_assert(sizeof(Descriptor) == 16 && std::is_trivially_copyable_v<Descriptor> &&
              std::has_unique_object_representations_v<Descriptor>);
inline constexpr std::uint16_t kDescriptorNext = 1;
inline constexpr std::uint16_t kDescriptorWrite = 2;  ///< the device writes it, and reads nothing
inline constexpr std::uint16_t kDescriptorIndirect = 4;
/// Bytes of a chain, at most (2.7.5.2).
inline constexpr std::uint64_t kMaxChainBytes = std::uint64_t{1} << 32;

/// An element of the used ring (2.7.8).
struct UsedElement {
    std::uint32_t id;      ///< head of the chain
    std::uint32_t length;  ///< bytes written into its writable part
};
static_assert(sizeof(UsedElement) == 8 && std::is_trivially_copyable_v<UsedElement> &&
              std::has_unique_object_representations_v<UsedElement>);

// Available ring (2.7.6) and used ring (2.7.8): flags, idx, the elements, then the event field.
inline constexpr std::size_t kRingFlags = 0;
inline constexpr std::size_t kRingIndex = 2;
inline constexpr std::size_t kRingElements = 4;
inline constexpr std::uint16_t kAvailNoInterrupt = 1;  ///< VIRTQ_AVAIL_F_NO_INTERRUPT (2.7.7)
inline constexpr std::uint16_t kUsedNoNotify = 1;      ///< VIRTQ_USED_F_NO_NOTIFY (2.7.10)

// Alignment and size of the three areas (2.7).
inline constexpr std::uint64_t kDescriptorAlignment = 16;
inline constexpr std::uint64_t kDriverAlignment = 2;
inline constexpr std::uint64_t kDeviceAlignment = 4;
[[nodiscard]] constexpr std::uint64_t descriptor_area_size(std::uint16_t queue_size) noexcept {
    return sizeof(Descriptor) * std::uint64_t{queue_size};
}
/// Offset of used_event (2.7.7) in the driver area.
[[nodiscard]] constexpr std::size_t used_event_offset(std::uint16_t queue_size) noexcept {
    return kRingElements + sizeof(std::uint16_t) * std::size_t{queue_size};
}
[[nodiscard]] constexpr std::uint64_t driver_area_size(std::uint16_t queue_size) noexcept {
    return used_event_offset(queue_size) + sizeof(std::uint16_t);
}
/// Offset of avail_event (2.7.10) in the device area.
[[nodiscard]] constexpr std::size_t avail_event_offset(std::uint16_t queue_size) noexcept {
    return kRingElements + sizeof(UsedElement) * std::size_t{queue_size};
}
[[nodiscard]] constexpr std::uint64_t device_area_size(std::uint16_t queue_size) noexcept {
    return avail_event_offset(queue_size) + sizeof(std::uint16_t);
}

/// Whether an index that went from `before` to `after` has passed `event` (2.7.7.2, 2.7.10.1). The
/// indexes wrap at 16 bits.
[[nodiscard]] constexpr bool passed_event(std::uint16_t event, std::uint16_t after,
                                          std::uint16_t before) noexcept {
    return static_cast<std::uint16_t>(after - event - 1U) <
           static_cast<std::uint16_t>(after - before);
}

// PCI transport (4.1): identity (4.1.2).
inline constexpr std::uint16_t kPciVendor = 0x1af4;
[[nodiscard]] constexpr std::uint16_t pci_device_id(DeviceId id) noexcept {
    return static_cast<std::uint16_t>(0x1040U + static_cast<std::uint16_t>(id));
}
inline constexpr std::uint8_t kPciMinRevision = 1;       ///< of a device that is not transitional
inline constexpr std::uint16_t kPciMinSubsystem = 0x40;  ///< subsystem id of such a device

/// cfg_type of the vendor-specific capabilities (4.1.4).
enum class PciCapability : std::uint8_t {
    Common = 1,
    Notify = 2,
    Isr = 3,
    Device = 4,
    PciAccess = 5,
    SharedMemory = 8,
    Vendor = 9,
};
// struct virtio_pci_cap (4.1.4), offsets from the capability's start.
inline constexpr std::uint16_t kPciCapLength = 2;
inline constexpr std::uint16_t kPciCapType = 3;
inline constexpr std::uint16_t kPciCapBar = 4;
inline constexpr std::uint16_t kPciCapId = 5;
inline constexpr std::uint16_t kPciCapOffset = 8;
inline constexpr std::uint16_t kPciCapRegionLength = 12;
inline constexpr std::uint16_t kPciCapSize = 16;
inline constexpr std::uint16_t kPciCapNotifyMultiplier = 16;  ///< of a Notify capability (4.1.4.4)
inline constexpr std::uint16_t kPciCapNotifySize = 20;
inline constexpr std::uint16_t kPciCapAccessData = 16;  ///< of a PciAccess capability (4.1.4.9)
inline constexpr std::uint16_t kPciCapAccessSize = 20;

/// Common configuration structure (4.1.4.3), offsets from its start.
enum class Common : std::uint8_t {
    DeviceFeatureSelect = 0,
    DeviceFeature = 4,
    DriverFeatureSelect = 8,
    DriverFeature = 12,
    ConfigMsixVector = 16,
    NumQueues = 18,
    DeviceStatus = 20,
    ConfigGeneration = 21,
    QueueSelect = 22,
    QueueSize = 24,
    QueueMsixVector = 26,
    QueueEnable = 28,
    QueueNotifyOff = 30,
    QueueDescLow = 32,
    QueueDescHigh = 36,
    QueueDriverLow = 40,
    QueueDriverHigh = 44,
    QueueDeviceLow = 48,
    QueueDeviceHigh = 52,
};
/// Bytes of the structure without the fields of NOTIF_CONFIG_DATA and RING_RESET.
inline constexpr std::size_t kCommonSize = 56;

inline constexpr std::uint16_t kNoVector = 0xffff;  ///< VIRTIO_MSI_NO_VECTOR (4.1.5.1.2)

/// Fields of the common configuration structure, each with the one width that accesses must have
/// (4.1.3.1): the halves of a 64-bit field are fields of their own. `writable` says which bits a
/// driver may ever change; when it may is the device's state's business.
inline constexpr std::array<RegisterSpec, 19> kCommonTable = {{
    {.offset = 0, .width = 4, .writable = 0xffff'ffff},
    {.offset = 4, .width = 4},
    {.offset = 8, .width = 4, .writable = 0xffff'ffff},
    {.offset = 12, .width = 4, .writable = 0xffff'ffff},
    {.offset = 16, .width = 2, .reset = kNoVector, .writable = 0xffff},
    {.offset = 18, .width = 2},
    {.offset = 20, .width = 1, .writable = 0xff},
    {.offset = 21, .width = 1},
    {.offset = 22, .width = 2, .writable = 0xffff},
    {.offset = 24, .width = 2, .writable = 0xffff},
    {.offset = 26, .width = 2, .reset = kNoVector, .writable = 0xffff},
    {.offset = 28, .width = 2, .writable = 0x0001},
    {.offset = 30, .width = 2},
    {.offset = 32, .width = 4, .writable = 0xffff'ffff},
    {.offset = 36, .width = 4, .writable = 0xffff'ffff},
    {.offset = 40, .width = 4, .writable = 0xffff'ffff},
    {.offset = 44, .width = 4, .writable = 0xffff'ffff},
    {.offset = 48, .width = 4, .writable = 0xffff'ffff},
    {.offset = 52, .width = 4, .writable = 0xffff'ffff},
}};

// ISR status (4.1.4.5): a byte, which reading clears.
inline constexpr Field<bool, 0, 0> kIsrQueue;
inline constexpr Field<bool, 1, 1> kIsrConfig;

}  // namespace cxlvm::virtio
