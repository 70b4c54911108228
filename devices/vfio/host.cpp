// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/host.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

/// The driver of a device's own that hands it to VFIO: vfio-pci, or a variant of it for one device.
[[nodiscard]] bool is_vfio_driver(const std::string& driver) noexcept {
    return driver.find("vfio") != std::string::npos;
}

[[nodiscard]] std::string last_component(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

VfioDevice Host::open(const DeviceConfig& config) {
    validate(config);
    const std::string name = name_of(config);
    if (!config.descriptor.empty()) {
        auto device = io::open_descriptor(config.descriptor, "--device: " + config.descriptor);
        if (!device) {
            io::throw_input(
                fmt::format("--device: {}: not a descriptor; give fd=N", config.descriptor));
        }
        iommufd().attach(*device, name);
        return {kernel_, std::move(*device), name};
    }
    const Place place = find(config);
    const auto driver = kernel_.link_name(place.folder + "/driver");
    if (!driver || !is_vfio_driver(*driver)) {
        io::throw_error(
            0, fmt::format(
                   "--device: {0}: it is bound to {1}, not to vfio-pci; bind it: echo "
                   "vfio-pci > {2}/driver_override; {3}echo {0} > "
                   "/sys/bus/pci/drivers_probe",
                   place.address, driver ? "the driver " + *driver : "no driver", place.folder,
                   driver ? fmt::format("echo {} > {}/driver/unbind; ", place.address, place.folder)
                          : ""));
    }
    auto file = config.iommu == IommuChoice::Group ? std::nullopt : device_file(place);
    if (config.iommu == IommuChoice::Auto && file && is_for_group(place, *file)) {
        file.reset();
    }
    if (config.iommu == IommuChoice::Iommufd && !file) {
        io::throw_error(0, fmt::format("--device: {}: this kernel has no device file of it for "
                                       "iommufd (CONFIG_VFIO_DEVICE_CDEV, Linux 6.6); give "
                                       "iommu=group",
                                       place.address));
    }
    io::Fd device = file ? iommufd().open_device(*file, name)
                         : container().open_device(place.address, place.folder);
    return {kernel_, std::move(device), name};
}

auto Host::find(const DeviceConfig& config) const -> Place {
    const std::string given =
        config.sysfs.empty() ? "/sys/bus/pci/devices/" + config.address : config.sysfs;
    auto folder = kernel_.real_path(given);
    if (!folder) {
        io::throw_input(
            fmt::format("--device: {}: this host has no such PCI device; lspci -D "
                        "lists those that it has",
                        config.sysfs.empty() ? config.address : config.sysfs));
    }
    std::string address = last_component(*folder);
    return {.folder = std::move(*folder), .address = std::move(address)};
}

std::optional<std::string> Host::device_file(const Place& place) const {
    const auto names = kernel_.names_in(place.folder + "/vfio-dev");
    const auto found = std::ranges::find_if(
        names, [](const std::string& name) { return name.starts_with("vfio"); });
    if (found == names.end() || !kernel_.real_path(Iommufd::kPath)) {
        return std::nullopt;
    }
    const std::string path = "/dev/vfio/devices/" + *found;
    return kernel_.real_path(path) ? std::optional(path) : std::nullopt;
}

bool Host::is_for_group(const Place& place, const std::string& file) const {
    // Opened for a moment: nothing is bound by that.
    const auto is_forbidden = [&](const std::string& path) {
        const int fd = kernel_.open(path);
        const io::Fd closed(fd < 0 ? -1 : fd);
        return fd == -EACCES || fd == -EPERM;
    };
    if ((iommufd_ || !is_forbidden(Iommufd::kPath)) && !is_forbidden(file)) {
        return false;
    }
    const auto group = kernel_.link_name(place.folder + "/iommu_group");
    return group && kernel_.real_path("/dev/vfio/" + *group).has_value();
}

Container& Host::container() {
    return container_ ? *container_ : container_.emplace(kernel_, files_);
}

Iommufd& Host::iommufd() {
    return iommufd_ ? *iommufd_ : iommufd_.emplace(kernel_, files_);
}

int Host::map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept {
    if (container_) {
        if (const int error = container_->map(iova, host, writable); error != 0) {
            return error;
        }
    }
    if (iommufd_) {
        if (const int error = iommufd_->map(iova, host, writable); error != 0) {
            if (container_) {
                static_cast<void>(container_->unmap(iova, host.size()));
            }
            return error;
        }
    }
    return 0;
}

int Host::unmap(std::uint64_t iova, std::uint64_t size) noexcept {
    const int first = container_ ? container_->unmap(iova, size) : 0;
    const int second = iommufd_ ? iommufd_->unmap(iova, size) : 0;
    return first != 0 ? first : second;
}

}  // namespace cxlvm::vfio
