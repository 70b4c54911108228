// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

#include "devices/pci_place.hpp"

namespace cxlvm::virtio::balloon {

struct BalloonConfig {
    std::uint64_t target = 0;            ///< bytes that the guest is first asked to give up
    bool deflate_on_oom = false;         ///< it may take them back before it runs out of memory
    bool reporting = false;              ///< free page reporting
    std::chrono::seconds statistics{0};  ///< between two reports of the guest; 0: none at all
    PciPlace place{};                    ///< for the machine
};

}  // namespace cxlvm::virtio::balloon
