// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/container.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "devices/vfio/uapi.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

constexpr const char* kContainerPath = "/dev/vfio/vfio";

[[nodiscard]] io::Fd open_container(Kernel& kernel) {
    const int fd = kernel.open(kContainerPath);
    if (fd >= 0) {
        return io::Fd(fd);
    }
    const char* remedy = "; check that the modules vfio and vfio-pci are loaded";
    if (fd == -EACCES || fd == -EPERM) {
        remedy = "; make it readable and writable for this user, as it is by default";
    } else if (fd == -ENOENT || fd == -ENODEV || fd == -ENXIO) {
        remedy = "; load the module: modprobe vfio-pci";
    }
    throw io::Error(std::error_code(-fd, std::generic_category()),
                    io::Error::Whole{fmt::format("--device: cannot open {}: {}{}", kContainerPath,
                                                 io::errno_text(-fd), remedy)},
                    io::Fault::Host);
}

[[noreturn]] void fail(int error, const std::string& message) {
    throw io::Error(std::error_code(error, std::generic_category()), io::Error::Whole{message},
                    io::Fault::Host);
}

}  // namespace

Container::Container(Kernel& kernel, FileSink& files)
    : kernel_(kernel), files_(files), fd_(open_container(kernel)) {
    if (const int version = kernel_.call(fd_, VFIO_GET_API_VERSION, 0UL);
        version != VFIO_API_VERSION) {
        fail(0, fmt::format("--device: {}: VFIO interface version {} instead of {}", kContainerPath,
                            version, VFIO_API_VERSION));
    }
    if (kernel_.call(fd_, VFIO_CHECK_EXTENSION, static_cast<unsigned long>(VFIO_TYPE1v2_IOMMU)) <=
        0) {
        fail(0, fmt::format("--device: {}: this kernel has no type 1 IOMMU for VFIO; load the "
                            "module: modprobe vfio_iommu_type1",
                            kContainerPath));
    }
}

io::Fd Container::open_device(const std::string& address, const std::string& folder) {
    const auto number = kernel_.link_name(folder + "/iommu_group");
    if (!number) {
        fail(ENODEV,
             fmt::format(
                 "--device: {}: it is in no IOMMU group: this host has no IOMMU, or does not "
                 "use it; enable VT-d or AMD-Vi in the firmware's settings, and on Intel "
                 "boot with intel_iommu=on",
                 address));
    }
    const Group& group = join(*number, address, folder);
    const int fd = kernel_.ioctl(group.fd.get(), VFIO_GROUP_GET_DEVICE_FD,
                                 reinterpret_cast<std::uintptr_t>(address.c_str()));
    if (fd >= 0) {
        return io::Fd(fd);
    }
    fail(-fd, fmt::format("--device: {}: VFIO does not open it: {}{}", address, io::errno_text(-fd),
                          fd == -ENODEV  ? "; bind it to vfio-pci"
                          : fd == -EBUSY ? "; another program uses it"
                                         : ""));
}

auto Container::join(const std::string& number, const std::string& address,
                     const std::string& folder) -> const Group& {
    if (const auto known = std::ranges::find(groups_, number, &Group::number);
        known != groups_.end()) {
        return *known;
    }
    const std::string path = "/dev/vfio/" + number;
    const int fd = kernel_.open(path);
    if (fd < 0) {
        const char* remedy = "";
        if (fd == -EBUSY) {
            remedy = ": another program uses the device, or another one of its group; end it";
        } else if (fd == -EACCES || fd == -EPERM) {
            remedy = ": this user may not; give it to them: chown USER";
        } else if (fd == -ENOENT) {
            remedy = ": no device of the group is bound to vfio-pci";
        }
        fail(-fd,
             fmt::format("--device: {}: cannot open {}: {}{}", address, path, io::errno_text(-fd),
                         fd == -EACCES || fd == -EPERM ? fmt::format("{} {}", remedy, path)
                                                       : std::string(remedy)));
    }
    io::Fd group(fd);
    vfio_group_status status{};
    status.argsz = sizeof(status);
    if (const int result = kernel_.call(group, VFIO_GROUP_GET_STATUS, status); result < 0) {
        fail(-result, fmt::format("--device: {}: VFIO_GROUP_GET_STATUS of {}: {}", address, path,
                                  io::errno_text(-result)));
    }
    if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
        const std::string mates = foreign_group_mates(kernel_, folder);
        fail(EPERM,
             fmt::format("--device: {}: its IOMMU group {} has devices that the host still uses{}; "
                         "bind them to vfio-pci too, or to no driver",
                         address, number, mates.empty() ? "" : ": " + mates));
    }
    int container = fd_.get();
    if (const int result = kernel_.call(group, VFIO_GROUP_SET_CONTAINER, container); result < 0) {
        fail(
            -result,
            fmt::format(
                "--device: {}: VFIO_GROUP_SET_CONTAINER of {}: {}{}", address, path,
                io::errno_text(-result),
                result == -EBUSY                       ? "; another program has it in use"
                : result == -EINVAL && groups_.empty() ? "; another program has it in use: end it"
                : result == -EINVAL
                    ? "; another program has it in use: end it; or its IOMMU does not go with that "
                      "of the devices before it: pass them to machines of their own"
                    : ""));
    }
    if (groups_.empty()) {
        const int result =
            kernel_.call(fd_, VFIO_SET_IOMMU, static_cast<unsigned long>(VFIO_TYPE1v2_IOMMU));
        if (result < 0) {
            fail(-result,
                 fmt::format(
                     "--device: {}: VFIO_SET_IOMMU: {}{}", address, io::errno_text(-result),
                     result == -EPERM
                         ? "; the IOMMU does not remap interrupts: enable that in the firmware's "
                           "settings, or, trusting the guest, load vfio_iommu_type1 with "
                           "allow_unsafe_interrupts=1"
                         : ""));
        }
    }
    files_.add(group.get(), address);
    groups_.push_back({.number = number, .fd = std::move(group)});
    return groups_.back();
}

int Container::map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept {
    vfio_iommu_type1_dma_map map{};
    map.argsz = sizeof(map);
    map.flags = VFIO_DMA_MAP_FLAG_READ | (writable ? std::uint32_t{VFIO_DMA_MAP_FLAG_WRITE} : 0U);
    map.vaddr = reinterpret_cast<std::uintptr_t>(host.data());
    map.iova = iova;
    map.size = host.size();
    const int result = kernel_.call(fd_, VFIO_IOMMU_MAP_DMA, map);
    return result < 0 ? -result : 0;
}

int Container::unmap(std::uint64_t iova, std::uint64_t size) noexcept {
    vfio_iommu_type1_dma_unmap unmap{};
    unmap.argsz = sizeof(unmap);
    unmap.iova = iova;
    unmap.size = size;
    const int result = kernel_.call(fd_, VFIO_IOMMU_UNMAP_DMA, unmap);
    return result < 0 ? -result : 0;
}

std::string foreign_group_mates(Kernel& kernel, const std::string& folder) {
    std::string mates;
    const std::string devices = folder + "/iommu_group/devices";
    for (const std::string& mate : kernel.names_in(devices)) {
        const auto driver = kernel.link_name(fmt::format("{}/{}/driver", devices, mate));
        // The kernel takes bridges' driver for harmless.
        if (driver && *driver != "vfio-pci" && *driver != "pcieport" && *driver != "pci-stub") {
            mates += fmt::format("{}{} ({})", mates.empty() ? "" : ", ", mate, *driver);
        }
    }
    return mates;
}

}  // namespace cxlvm::vfio
