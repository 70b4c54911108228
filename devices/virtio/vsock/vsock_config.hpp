// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "devices/pci_place.hpp"

namespace cxlvm::virtio::vsock {

/// Of the guest's context identifiers: the others have meanings of their own (virtio 1.2, 5.10.4).
inline constexpr std::uint32_t kMinGuestCid = 3;
inline constexpr std::uint32_t kMaxGuestCid = 0xffff'fffe;

struct VsockConfig {
    std::uint32_t cid = 0;  ///< the guest's: kMinGuestCid to kMaxGuestCid
    std::string path{};     ///< of the host's socket
    PciPlace place{};       ///< for the machine
};

}  // namespace cxlvm::virtio::vsock
