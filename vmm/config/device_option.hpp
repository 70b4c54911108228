// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "io/bits.hpp"
#include "vmm/config/vm_keys.hpp"

/// --device, for the table of options.
namespace cxlvm::config {

using Devices = VmList<&VmConfig::devices>;

inline constexpr std::array<std::string_view, 3> kIommuChoices = {"auto", "group", "iommufd"};

/// A descriptor stands where an address does, as it does for every file.
inline void set_device(VmConfig& vm, const Value& value) {
    std::string text = parse_text(value);
    vfio::DeviceConfig& device = Devices::last(vm);
    (text.starts_with("fd=") ? device.descriptor : device.address) = std::move(text);
}

[[nodiscard]] inline Texts get_device(const VmConfig& vm) {
    const vfio::DeviceConfig device = Devices::shown(vm);
    return text_unless_empty(device.descriptor.empty() ? device.address : device.descriptor);
}

inline constexpr VmKey kDevice[] = {
    {{"vfio", Kind::Text, "ADDRESS", {}, "such as 0000:41:00.0; fd=N: /dev/vfio/devices/vfioN"},
     set_device,
     get_device},
    {{"sysfs", Kind::Text, "PATH", {}, "its folder below /sys, instead"},
     [](VmConfig& vm, const Value& value) { Devices::last(vm).sysfs = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Devices::shown(vm).sysfs); }},
    {{"iommu", Kind::Text, "auto|group|iommufd", "auto", "by which of the kernel's interfaces"},
     [](VmConfig& vm, const Value& value) {
         Devices::last(vm).iommu =
             static_cast<vfio::IommuChoice>(parse_choice(value, kIommuChoices));
     },
     [](const VmConfig& vm) {
         const auto choice = Devices::shown(vm).iommu;
         return choice == vfio::IommuChoice::Auto
                    ? Texts{}
                    : Texts{std::string(kIommuChoices[io::to_underlying(choice)])};
     }},
    kBusKey<Devices>,
    {{"integrated", Kind::Flag, {}, "off", "on the root bus, not behind a root port of its own"},
     [](VmConfig& vm, const Value& value) {
         Devices::last(vm).place.root_port = !parse_flag(value);
     },
     [](const VmConfig& vm) { return flag(!Devices::shown(vm).place.root_port); }},
    {{"id", Kind::Text, "TEXT", "the device's address", "a name for messages"},
     [](VmConfig& vm, const Value& value) { Devices::last(vm).id = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Devices::shown(vm).id); }},
};

inline constexpr VmOption kDeviceOption = {
    {"device", "vfio=ADDRESS[,KEY=VALUE]...", "a PCI device of the host, given to the guest", true},
    kDevice,
    Devices::reset,
    &Devices::kElements};

}  // namespace cxlvm::config
