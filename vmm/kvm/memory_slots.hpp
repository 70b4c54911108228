// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "memory/memory_listener.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// Gives every memory region of an AddressSpace a KVM memory slot, so that the guest reaches it
/// without an exit. Nothing else in the project makes memory slots.
///
/// The table of slots is made at construction and a slot's number is used again once its region has
/// gone: mapping a BAR allocates nothing here. Calls are serialised by the AddressSpace.
class MemorySlots final : public MemoryListener {
  public:
    /// Room for the host's limit, or for kMost when that is less.
    MemorySlots(const Kvm& kvm, const KvmVm& vm);

    /// ENOSPC when every slot is in use, else what KVM answers.
    std::error_code mapped(const MemoryView& view) noexcept override;
    void unmapped(const MemoryView& view) noexcept override;

    [[nodiscard]] std::size_t capacity() const noexcept { return bases_.size(); }
    [[nodiscard]] std::size_t in_use() const noexcept;

    static constexpr std::size_t kMost = 512;

  private:
    const KvmVm& vm_;
    /// Where each slot's memory lies; the index is the slot's number.
    std::vector<std::optional<Gpa>> bases_;
};

}  // namespace cxlvm
