// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "memory/doorbell.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// Doorbells as KVM's ioeventfds: the write ends in the kernel, on the vCPU's own processor.
class IoEventFds final : public DoorbellHost {
  public:
    enum class Space : std::uint8_t { Memory, Ports };

    /// Of the address space that this is connected to. `vm` outlives this.
    IoEventFds(const KvmVm& vm, Space space) noexcept : vm_(vm), space_(space) {}

    std::error_code connect(Gpa address, int eventfd) noexcept override;
    void disconnect(Gpa address, int eventfd) noexcept override;

  private:
    const KvmVm& vm_;
    const Space space_;
};

}  // namespace cxlvm
