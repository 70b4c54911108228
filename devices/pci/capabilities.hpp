// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "devices/pci/function.hpp"
#include "devices/pci/spec_bridge.hpp"

namespace cxlvm::pci {

/// Spec:       PCI Express Base Specification 6.0, 7.5.2 (power management capability).
/// Implements: D0 and D3hot; a function keeps its context over D3hot (No_Soft_Reset).
/// Deviates:   no power management events, which are optional.
///
/// What a function does not do in D3hot, ConfigSpace::awake tells its parts.
void add_power_management(PciFunction& function);

/// Spec:       PCI Express Base Specification 6.0, 7.5.3 (PCI Express capability).
/// Implements: integrated endpoints, endpoints and root ports, version 2, payloads of 128 bytes; a
///             link of 16 lanes at 5 GT/s, the fastest that asks for no further capability.
/// Deviates:   link and error settings are kept but have no effect: nothing here is a wire.
///
/// Returns where the capability lies. `number` is the port's and its slot's (root ports), 1 to 255.
std::uint16_t add_express(PciFunction& function, PortType type, std::uint8_t number = 0);

/// Spec:       PCI Express Base Specification 6.0, 6.6.2 (function level reset) and 7.5.3.4.
/// Implements: Initiate Function Level Reset: the function's reset(), after which the settings of
///             its link are as before.
/// Deviates:   nothing.
///
/// As add_express(), of an endpoint, integrated or not, that is capable of it.
std::uint16_t add_express_with_reset(PciFunction& function, PortType type);

}  // namespace cxlvm::pci
