// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/pci/function.hpp"

namespace cxlvm::pci {

/// Red Hat's id for a generic PCIe host bridge, which no driver claims.
inline constexpr Identity kHostBridgeIdentity{
    .vendor_id = 0x1b36, .device_id = 0x0008, .class_code = kClassHostBridge};

/// Spec:       PCI Express Base Specification 6.0, 7.5.1 (configuration header).
/// Implements: device 0 of a root bus, by which a guest recognises a root complex.
/// Deviates:   it decodes nothing and has no capabilities.
class HostBridge final : public PciFunction {
  public:
    HostBridge() : PciFunction("pci-host-bridge", kHostBridgeIdentity) {}
};

}  // namespace cxlvm::pci
