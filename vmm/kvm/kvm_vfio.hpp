// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "devices/vfio/dma_space.hpp"
#include "io/fd.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// KVM's VFIO device: tells KVM which groups or device files of VFIO belong to the machine, so that
/// it knows of DMA that snoops no caches, and devices that need it find their KVM
/// (Documentation/virt/kvm/devices/vfio.rst). What was added leaves with the machine.
class KvmVfio final : public vfio::FileSink {
  public:
    /// `vm` outlives this. The device is made with the first file.
    explicit KvmVfio(const KvmVm& vm) noexcept : vm_(vm) {}

    /// Throws io::Error.
    void add(int fd, const std::string& name) override;

  private:
    const KvmVm& vm_;
    io::Fd device_;
};

}  // namespace cxlvm
