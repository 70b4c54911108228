// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm_vfio.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "io/error.hpp"
#include "vmm/kvm/kvm_abi.hpp"

namespace cxlvm {

namespace {

[[nodiscard]] const char* remedy_of(int error) noexcept {
    switch (error) {
        case EINVAL:
        case EBADF:
            return " (this kernel takes it for no device file of VFIO: fd=N is an open file of "
                   "/dev/vfio/devices, of Linux 6.6 or later; a device of a group is given by its "
                   "address, vfio=ADDRESS)";
        case EEXIST:
            return " (the machine has it already: give it once)";
        default:
            return "";
    }
}

}  // namespace

void KvmVfio::add(int fd, const std::string& name) {
    if (!device_) {
        kvm_create_device create{};
        create.type = KVM_DEV_TYPE_VFIO;
        if (io::retry_eintr([&] { return ::ioctl(vm_.fd(), KVM_CREATE_DEVICE, &create); }) < 0) {
            io::throw_errno("--device: KVM_CREATE_DEVICE KVM_DEV_TYPE_VFIO");
        }
        device_.reset(static_cast<int>(create.fd));
    }
    // Groups and, since Linux 6.6, device files: the numbers of KVM_DEV_VFIO_FILE and
    // KVM_DEV_VFIO_FILE_ADD are those that groups had.
    kvm_device_attr attribute{};
    attribute.group = KVM_DEV_VFIO_GROUP;
    attribute.attr = KVM_DEV_VFIO_GROUP_ADD;
    attribute.addr = reinterpret_cast<std::uintptr_t>(&fd);
    if (io::retry_eintr([&] { return ::ioctl(device_.get(), KVM_SET_DEVICE_ATTR, &attribute); }) <
        0) {
        const int error = errno;
        io::throw_error(
            error, fmt::format("--device: {}: KVM_DEV_VFIO_FILE_ADD{}", name, remedy_of(error)));
    }
}

}  // namespace cxlvm
