// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "devices/pci_place.hpp"
#include "devices/throttle.hpp"

namespace cxlvm::virtio::block {

/// The file or block device behind a disk.
struct DiskConfig {
    std::string path{};      ///< "fd=N" for a descriptor that somebody else has opened
    bool read_only = false;  ///< the guest may not write; other readers are welcome
    bool direct = false;     ///< past the host's page cache (O_DIRECT)
};

/// A disk as a guest sees it.
struct BlockConfig {
    DiskConfig disk{};
    std::string id{};     ///< what the guest sees as serial number; at most kIdSize bytes
    unsigned queues = 1;  ///< 1 to BlockDevice::kMaxQueues
    PciPlace place{};     ///< for the machine
    RateLimits rates{};   ///< of all queues together, reads and writes alike
};

}  // namespace cxlvm::virtio::block
