// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "memory/doorbell.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// Doorbells as KVM's ioeventfds: the write ends in the kernel, on the vCPU's own processor.
class IoEventFds final : public DoorbellHost {
  public:
    explicit IoEventFds(const KvmVm& vm) noexcept : vm_(vm) {}

    std::error_code connect(Gpa address, int eventfd) noexcept override;
    void disconnect(Gpa address, int eventfd) noexcept override;

  private:
    const KvmVm& vm_;
};

}  // namespace cxlvm
