// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/iommufd.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "devices/vfio/uapi.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

[[noreturn]] void fail(int error, const std::string& message) {
    throw io::Error(std::error_code(error, std::generic_category()),
                    io::Error::Whole{fmt::format("--device: {}", message)}, io::Fault::Host);
}

[[nodiscard]] const char* open_remedy(int error) noexcept {
    switch (error) {
        case EACCES:
        case EPERM:
            return "; make it readable and writable for this user, or name the device by its "
                   "address with iommu=group, which does without it";
        case ENOENT:
        case ENODEV:
            return "; the kernel has no iommufd: load it, or give iommu=group";
        case EBUSY:
            return "; another program uses it";
        default:
            return "";
    }
}

[[nodiscard]] io::Fd open_or_throw(Kernel& kernel, const std::string& path,
                                   const std::string& name) {
    const int fd = kernel.open(path);
    if (fd < 0) {
        fail(-fd, fmt::format("{}cannot open {}: {}{}", name, path, io::errno_text(-fd),
                              open_remedy(-fd)));
    }
    return io::Fd(fd);
}

}  // namespace

Iommufd::Iommufd(Kernel& kernel, FileSink& files)
    : kernel_(kernel), files_(files), fd_(open_or_throw(kernel, kPath, "")) {
    abi::IoasAlloc alloc{.size = sizeof(alloc), .flags = 0, .out_ioas_id = 0};
    if (const int result = kernel_.call(fd_, abi::kIoasAlloc, alloc); result < 0) {
        fail(-result, fmt::format("IOMMU_IOAS_ALLOC: {}", io::errno_text(-result)));
    }
    space_ = alloc.out_ioas_id;
}

io::Fd Iommufd::open_device(const std::string& path, const std::string& name) {
    io::Fd device = open_or_throw(kernel_, path, name + ": ");
    attach(device, name);
    return device;
}

void Iommufd::attach(const io::Fd& device, const std::string& name) {
    // KVM learns of it before it is bound (Documentation/virt/kvm/devices/vfio.rst).
    files_.add(device.get(), name);
    abi::BindIommufd bind{.argsz = sizeof(bind), .flags = 0, .iommufd = fd_.get(), .out_devid = 0};
    if (const int result = kernel_.call(device, abi::kBindIommufd, bind); result < 0) {
        fail(-result,
             fmt::format("{}: VFIO_DEVICE_BIND_IOMMUFD: {}{}", name, io::errno_text(-result),
                         result == -ENOTTY || result == -EINVAL
                             ? "; a device file of /dev/vfio/devices is needed, which "
                               "nobody has bound yet"
                         : result == -EPERM
                             ? "; another device of its IOMMU group is in use, or the "
                               "IOMMU does not remap interrupts"
                             : ""));
    }
    abi::AttachIommufd attach{.argsz = sizeof(attach), .flags = 0, .pt_id = space_};
    if (const int result = kernel_.call(device, abi::kAttachIommufd, attach); result < 0) {
        fail(-result,
             fmt::format("{}: VFIO_DEVICE_ATTACH_IOMMUFD_PT: {}", name, io::errno_text(-result)));
    }
}

int Iommufd::map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept {
    abi::IoasMap map{.size = sizeof(map),
                     .flags = abi::kIoasMapFixed | abi::kIoasMapReadable |
                              (writable ? abi::kIoasMapWriteable : 0U),
                     .ioas_id = space_,
                     .reserved = 0,
                     .user_va = reinterpret_cast<std::uintptr_t>(host.data()),
                     .length = host.size(),
                     .iova = iova};
    const int result = kernel_.call(fd_, abi::kIoasMap, map);
    return result < 0 ? -result : 0;
}

int Iommufd::unmap(std::uint64_t iova, std::uint64_t size) noexcept {
    abi::IoasUnmap unmap{.size = sizeof(unmap), .ioas_id = space_, .iova = iova, .length = size};
    const int result = kernel_.call(fd_, abi::kIoasUnmap, unmap);
    return result < 0 ? -result : 0;
}

}  // namespace cxlvm::vfio
