// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/device_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

/// "0000:41:00.0": each 'x' of the pattern is a hexadecimal digit.
[[nodiscard]] bool is_pci_address(std::string_view text) noexcept {
    constexpr std::string_view kPattern = "xxxx:xx:xx.x";
    return std::ranges::equal(text, kPattern, [](char is, char pattern) {
        const bool digit = (is >= '0' && is <= '9') || (is >= 'a' && is <= 'f');
        return pattern == 'x' ? digit : is == pattern;
    });
}

}  // namespace

void validate(const DeviceConfig& config) {
    const int names = (config.address.empty() ? 0 : 1) + (config.sysfs.empty() ? 0 : 1) +
                      (config.descriptor.empty() ? 0 : 1);
    if (names != 1) {
        io::throw_input("--device: name one device by one of vfio=ADDRESS, sysfs=PATH and fd=N");
    }
    if (!config.address.empty() && !is_pci_address(config.address)) {
        io::throw_input(
            fmt::format("--device: vfio={}: no PCI address; give one as lspci -D shows "
                        "it, such as 0000:41:00.0",
                        config.address));
    }
    if (!config.descriptor.empty() && config.iommu == IommuChoice::Group) {
        io::throw_input("--device: fd=N is a device file of iommufd; leave iommu=group out");
    }
}

std::string name_of(const DeviceConfig& config) {
    for (const std::string* const name :
         {&config.id, &config.address, &config.sysfs, &config.descriptor}) {
        if (!name->empty()) {
            return *name;
        }
    }
    return "device";
}

}  // namespace cxlvm::vfio
