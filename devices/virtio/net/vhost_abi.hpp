// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/ioctl.h>

#include <cstdint>

/// What the kernel's <linux/vhost.h> says of vhost-net: that header itself includes one that is no
/// C++.
namespace cxlvm::virtio::net::vhost {

/// A number of a ring's.
struct RingNumber {
    std::uint32_t ring = 0;
    std::uint32_t number = 0;
};
/// A descriptor of a ring's.
struct RingFile {
    std::uint32_t ring = 0;
    std::int32_t fd = -1;  ///< -1: none
};
/// Where a ring is in this process.
struct RingAddresses {
    std::uint32_t ring = 0;
    std::uint32_t flags = 0;
    std::uint64_t descriptors = 0;
    std::uint64_t used = 0;
    std::uint64_t available = 0;
    std::uint64_t log = 0;
};
struct MemoryRegion {
    std::uint64_t guest = 0;  ///< address
    std::uint64_t bytes = 0;
    std::uint64_t host = 0;  ///< address in this process
    std::uint64_t flags = 0;
};
/// In front of so many regions.
struct MemoryHeader {
    std::uint32_t count = 0;
    std::uint32_t padding = 0;
};
static_assert(sizeof(RingNumber) == 8 && sizeof(RingFile) == 8 && sizeof(RingAddresses) == 40 &&
              sizeof(MemoryRegion) == 32 && sizeof(MemoryHeader) == 8);

// NOLINTBEGIN(hicpp-signed-bitwise): as the kernel's macros are
inline constexpr unsigned long kGetFeatures = _IOR(0xaf, 0x00, std::uint64_t);
inline constexpr unsigned long kSetFeatures = _IOW(0xaf, 0x00, std::uint64_t);
inline constexpr unsigned long kSetOwner = _IO(0xaf, 0x01);
inline constexpr unsigned long kSetMemory = _IOW(0xaf, 0x03, MemoryHeader);
inline constexpr unsigned long kSetRingSize = _IOW(0xaf, 0x10, RingNumber);
inline constexpr unsigned long kSetRingAddresses = _IOW(0xaf, 0x11, RingAddresses);
inline constexpr unsigned long kSetRingBase = _IOW(0xaf, 0x12, RingNumber);
inline constexpr unsigned long kSetRingKick = _IOW(0xaf, 0x20, RingFile);
inline constexpr unsigned long kSetRingCall = _IOW(0xaf, 0x21, RingFile);
inline constexpr unsigned long kSetRingError = _IOW(0xaf, 0x22, RingFile);
inline constexpr unsigned long kSetPort = _IOW(0xaf, 0x30, RingFile);  ///< VHOST_NET_SET_BACKEND
// NOLINTEND(hicpp-signed-bitwise)
static_assert(kGetFeatures == 0x8008af00 && kSetFeatures == 0x4008af00 && kSetOwner == 0xaf01 &&
              kSetMemory == 0x4008af03 && kSetRingAddresses == 0x4028af11 &&
              kSetPort == 0x4008af30);

}  // namespace cxlvm::virtio::net::vhost
