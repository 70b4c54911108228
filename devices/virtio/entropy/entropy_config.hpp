// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "devices/pci_place.hpp"

namespace cxlvm::virtio::entropy {

struct EntropyConfig {
    /// A character device such as /dev/hwrng, "fd=N" for a descriptor that somebody else has
    /// opened, or empty for the host kernel's own generator.
    std::string source{};
    PciPlace place{};  ///< for the machine
};

}  // namespace cxlvm::virtio::entropy
