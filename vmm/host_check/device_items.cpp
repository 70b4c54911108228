// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "memory/host_memory.hpp"
#include "vmm/host_check/items.hpp"

namespace cxlvm::host_check {

namespace {

using Option = KernelConfig::Option;

CheckItem iommu_item(const std::string& root) {
    CheckItem item{.name = "IOMMU", .status = Status::Ok};
    const std::size_t groups = names_in(root + "/sys/kernel/iommu_groups").size();
    if (groups != 0) {
        item.found = fmt::format("groups: {}", groups);
        return item;
    }
    const std::string cpu = host::read_text(root + "/proc/cpuinfo").value_or("");
    item.status = Status::Warn;
    item.found = "off or not there; needed to assign a device";
    item.remedy =
        cpu.find("AuthenticAMD") != std::string::npos
            ? "enable AMD-Vi in the firmware, and boot without amd_iommu=off and iommu=off"
            : "enable VT-d in the firmware and boot with intel_iommu=on";
    return item;
}

CheckItem vfio_item(const std::string& root, const KernelConfig& kernel) {
    CheckItem item{.name = "VFIO", .status = Status::Warn};
    const bool container = exists(root + "/dev/vfio/vfio");
    if (!container || !exists(root + "/sys/bus/pci/drivers/vfio-pci")) {
        item.found = container ? "no vfio-pci driver; needed to assign a device"
                               : "no /dev/vfio/vfio; needed to assign a device";
        item.remedy = kernel.option("VFIO_PCI") == Option::Off ? "a kernel with CONFIG_VFIO_PCI"
                                                               : "modprobe vfio-pci";
        return item;
    }
    std::vector<std::string> groups = names_in(root + "/dev/vfio");
    std::erase_if(groups, [](const std::string& name) {
        return name.find_first_not_of("0123456789") != std::string::npos;
    });
    item.status = Status::Ok;
    item.found = groups.empty() ? std::string("vfio-pci, no device bound to it")
                                : fmt::format("vfio-pci, groups {}", fmt::join(groups, ", "));
    return item;
}

// A feature that the kernel's configuration decides. `since` is the release that brought it.
struct KernelFeature {
    const char* name;
    const char* option;
    unsigned major;
    unsigned minor;
    const char* purpose;  // what it is for, or what happens without it
};

// Where no node or folder shows the feature: what configuration or release say.
CheckItem configured_item(const KernelFeature& feature, const KernelConfig& kernel) {
    CheckItem item{.name = feature.name, .status = Status::Info};
    item.remedy = fmt::format("Linux {}.{} or newer with CONFIG_{}", feature.major, feature.minor,
                              feature.option);
    switch (kernel.option(feature.option)) {
        case Option::BuiltIn:
        case Option::Module:
            item.status = Status::Ok;
            item.found = "in this kernel's configuration";
            item.remedy.clear();
            break;
        case Option::Off:
            item.found = fmt::format("not in this kernel's configuration; {}", feature.purpose);
            break;
        case Option::Unknown:
            item.found =
                kernel.at_least(feature.major, feature.minor)
                    ? fmt::format(
                          "perhaps: {} is new enough, its configuration cannot be "
                          "read",
                          kernel.release())
                    : fmt::format("no: {} is older than {}.{}; {}",
                                  kernel.release().empty() ? "an unknown kernel" : kernel.release(),
                                  feature.major, feature.minor, feature.purpose);
            break;
    }
    return item;
}

// As above, for features that show themselves as `path`; `module` brings one that is not loaded.
CheckItem visible_item(const std::string& root, const char* path, const char* module,
                       const KernelFeature& feature, const KernelConfig& kernel) {
    if (exists(root + path)) {
        return {.name = feature.name, .status = Status::Ok, .found = path};
    }
    CheckItem item = configured_item(feature, kernel);
    if (item.status == Status::Ok) {
        item.status = Status::Info;
        item.found =
            fmt::format("in this kernel's configuration, but no {}; {}", path, feature.purpose);
        item.remedy = fmt::format("modprobe {}", module);
    }
    return item;
}

CheckItem cxl_item(const std::string& root, const KernelConfig& kernel) {
    const std::string devices = "/sys/bus/cxl/devices";
    if (exists(root + devices)) {
        return {
            .name = "CXL",
            .status = Status::Ok,
            .found = fmt::format("devices on the CXL bus: {}", names_in(root + devices).size())};
    }
    return visible_item(root, "/sys/bus/cxl", "cxl_acpi",
                        {"CXL", "CXL_BUS", 5, 12, "needed for the host's own CXL devices"}, kernel);
}

CheckItem rdma_item(const std::string& root) {
    const std::vector<std::string> names = names_in(root + "/sys/class/infiniband");
    if (!names.empty()) {
        return {.name = "RDMA devices",
                .status = Status::Ok,
                .found = fmt::format("{}", fmt::join(names, ", "))};
    }
    return {.name = "RDMA devices",
            .status = Status::Info,
            .found = "none; needed to share device memory with a NIC",
            .remedy = "load the NIC's RDMA driver, or for a trial: modprobe rdma_rxe"};
}

}  // namespace

Items assignment_items(const std::string& root, const KernelConfig& kernel) {
    return {iommu_item(root), vfio_item(root, kernel),
            visible_item(root, "/dev/vfio/devices", "vfio-pci, and bind a device",
                         {"VFIO cdev", "VFIO_DEVICE_CDEV", 6, 6, "groups are used"}, kernel),
            visible_item(root, "/dev/iommu", "iommufd",
                         {"iommufd", "IOMMUFD", 6, 2, "the VFIO container is used"}, kernel),
            // Whether a device exports is known once it is open; the kernel's part is known now.
            configured_item({"VFIO dma-buf export", "VFIO_PCI_DMABUF", 6, 19,
                             "needed to share device memory with another device"},
                            kernel)};
}

Items accelerator_items(const std::string& root, const KernelConfig& kernel) {
    return {
        visible_item(root, "/dev/udmabuf", "udmabuf",
                     {"udmabuf", "UDMABUF", 4, 20, "guest RAM cannot be shared as a dma-buf"},
                     kernel),
        cxl_item(root, kernel),
        configured_item({"PCIe TPH", "PCIE_TPH", 6, 13, "no steering of DMA into caches"}, kernel),
        rdma_item(root)};
}

}  // namespace cxlvm::host_check
