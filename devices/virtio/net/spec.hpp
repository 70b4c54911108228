// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/virtio/spec.hpp"

/// What virtio 1.2 says of network devices (5.1); UDP segmentation (USO) is virtio 1.3's.
namespace cxlvm::virtio::net {

// Feature bits (5.1.3). "Host" is what the device does for the driver, "guest" the reverse.
inline constexpr std::uint64_t kFeatureCsum = feature(0);
inline constexpr std::uint64_t kFeatureGuestCsum = feature(1);
inline constexpr std::uint64_t kFeatureCtrlGuestOffloads = feature(2);
inline constexpr std::uint64_t kFeatureMtu = feature(3);
inline constexpr std::uint64_t kFeatureMac = feature(5);
inline constexpr std::uint64_t kFeatureGuestTso4 = feature(7);
inline constexpr std::uint64_t kFeatureGuestTso6 = feature(8);
inline constexpr std::uint64_t kFeatureGuestEcn = feature(9);
inline constexpr std::uint64_t kFeatureGuestUfo = feature(10);
inline constexpr std::uint64_t kFeatureHostTso4 = feature(11);
inline constexpr std::uint64_t kFeatureHostTso6 = feature(12);
inline constexpr std::uint64_t kFeatureHostEcn = feature(13);
inline constexpr std::uint64_t kFeatureHostUfo = feature(14);
inline constexpr std::uint64_t kFeatureMergeable = feature(15);
inline constexpr std::uint64_t kFeatureStatus = feature(16);
inline constexpr std::uint64_t kFeatureCtrlQueue = feature(17);
inline constexpr std::uint64_t kFeatureMultiQueue = feature(22);
inline constexpr std::uint64_t kFeatureGuestUso4 = feature(54);
inline constexpr std::uint64_t kFeatureGuestUso6 = feature(55);
inline constexpr std::uint64_t kFeatureHostUso = feature(56);

/// Segmentation that the driver leaves to the device.
inline constexpr std::uint64_t kHostSegmentation =
    kFeatureHostTso4 | kFeatureHostTso6 | kFeatureHostUfo | kFeatureHostUso;
/// Segments that the driver takes together.
inline constexpr std::uint64_t kGuestSegmentation = kFeatureGuestTso4 | kFeatureGuestTso6 |
                                                    kFeatureGuestUfo | kFeatureGuestUso4 |
                                                    kFeatureGuestUso6;
/// What CTRL_GUEST_OFFLOADS switches, by the same numbers (5.1.6.5).
inline constexpr std::uint64_t kGuestOffloads =
    kFeatureGuestCsum | kGuestSegmentation | kFeatureGuestEcn;

/// Configuration space (5.1.4): offsets, the width of each in bytes behind it.
enum class Config : std::uint8_t {
    Mac = 0,            ///< 6
    Status = 6,         ///< 2
    MaxQueuePairs = 8,  ///< 2
    Mtu = 10,           ///< 2, in bytes
};
inline constexpr std::size_t kConfigSize = 12;
inline constexpr std::uint16_t kStatusLinkUp = 1;
/// Bounds of the mtu field (5.1.4.1).
inline constexpr std::uint16_t kMinMtu = 68;
inline constexpr std::uint16_t kMaxMtu = 65535;

/// Stands in front of every frame, both ways (5.1.6).
struct Header {
    std::uint8_t flags;
    std::uint8_t gso_type;
    std::uint16_t header_length;
    std::uint16_t gso_size;
    std::uint16_t csum_start;
    std::uint16_t csum_offset;
    std::uint16_t num_buffers;
};
static_assert(sizeof(Header) == 12 && std::is_trivially_copyable_v<Header> &&
              std::has_unique_object_representations_v<Header>);

// Commands on the control virtqueue (5.1.6.5): class, command, and what follows them.
struct Command {
    std::uint8_t group;
    std::uint8_t number;
};
static_assert(sizeof(Command) == 2 && std::has_unique_object_representations_v<Command>);
inline constexpr std::uint8_t kGroupMultiQueue = 4;
inline constexpr std::uint8_t kSetQueuePairs = 0;  ///< a 16-bit number
inline constexpr std::uint8_t kGroupGuestOffloads = 5;
inline constexpr std::uint8_t kSetGuestOffloads = 0;  ///< 64 bits of kGuestOffloads

/// How a command ended.
enum class Ack : std::uint8_t { Ok = 0, Error = 1 };

// Ethernet (IEEE 802.3, 802.1Q).
inline constexpr std::size_t kEthernetHeader = 14;
inline constexpr std::size_t kVlanTag = 4;
/// Bytes of the longest frame, segmented later or not: an IP packet has 16 bits of length.
inline constexpr std::size_t kMaxFrame = 65535 + kEthernetHeader + kVlanTag;

}  // namespace cxlvm::virtio::net
