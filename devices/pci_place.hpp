// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace cxlvm {

/// Where a machine puts a device on its PCI buses.
struct PciPlace {
    std::string bus{};       ///< id of the host bridge; empty: the one that every machine has
    bool root_port = false;  ///< behind a root port of its own
};

}  // namespace cxlvm
