// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "devices/pci_place.hpp"

namespace cxlvm::vfio {

/// By which of the kernel's two interfaces a device and its DMA are had.
enum class IommuChoice : std::uint8_t {
    Auto,     ///< iommufd where the host has it, groups otherwise
    Group,    ///< /dev/vfio/N and a container
    Iommufd,  ///< /dev/vfio/devices/vfioN and /dev/iommu
};

/// A host's PCI device that the guest is to have: plain data. Exactly one of the first three names
/// it.
struct DeviceConfig {
    std::string address{};     ///< 0000:41:00.0
    std::string sysfs{};       ///< its folder below /sys
    std::string descriptor{};  ///< "fd=N": an opened /dev/vfio/devices/vfioN
    IommuChoice iommu = IommuChoice::Auto;
    std::string id{};  ///< for messages; empty: what the device is named by
    /// Where a device is expected to be, unless it is integrated into its root complex.
    PciPlace place{.root_port = true};
};

/// Checks what can be checked without the host: throws io::Error (Fault::Input).
void validate(const DeviceConfig& config);

/// How messages name the device.
[[nodiscard]] std::string name_of(const DeviceConfig& config);

}  // namespace cxlvm::vfio
