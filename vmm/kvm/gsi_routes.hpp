// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "devices/msi.hpp"
#include "io/mutex.hpp"
#include "vmm/kvm/kvm.hpp"

namespace cxlvm {

/// The dword at `address` as KVM wants it told. With wide ids (KvmVm::use_wide_apic_ids) bits 14 to
/// 8 of the destination, which a guest puts into bits 11 to 5 of the address (Linux,
/// Documentation/virt/kvm/x86/cpuid.rst, KVM_FEATURE_MSI_EXT_DEST_ID), belong into the upper half.
[[nodiscard]] kvm_irq_routing_msi msi_for_kvm(const MsiMessage& message, bool wide_ids) noexcept;

/// KVM's table of where each global system interrupt goes: GSI n below layout::kIoApicPins is pin n
/// of the I/O APIC, those behind are message-signalled and belong to whoever acquired them.
///
/// KVM takes the table as a whole. It is kept here in that form, so that a guest that programs a
/// vector causes no allocation. Any thread.
class GsiRoutes {
  public:
    /// Tells KVM of the pins. After the irqchip is made; throws io::Error.
    GsiRoutes(const Kvm& kvm, const KvmVm& vm);
    GsiRoutes(const GsiRoutes&) = delete;
    GsiRoutes& operator=(const GsiRoutes&) = delete;
    ~GsiRoutes() = default;

    /// A GSI for messages, with no route yet. Set-up; throws io::Error when KVM has no more.
    [[nodiscard]] std::uint32_t acquire() CXLVM_EXCLUDES(mutex_);
    /// Takes its route away, and lets it be acquired again.
    void release(std::uint32_t gsi) noexcept CXLVM_EXCLUDES(mutex_);
    /// Where an acquired GSI goes from now on. Returns an errno value, and leaves the old route:
    /// EINVAL for an address outside 0xFEEx'xxxx, where no local APIC is written to, else KVM's
    /// answer. KVM waits until no interrupt uses the old table.
    [[nodiscard]] int set(std::uint32_t gsi, const std::optional<MsiMessage>& message) noexcept
        CXLVM_EXCLUDES(mutex_);

    /// Rows that KVM has now: the pins and the GSIs with a route.
    [[nodiscard]] std::size_t size() const noexcept CXLVM_EXCLUDES(mutex_);

  private:
    struct MessageGsi {
        bool acquired = false;
        std::optional<MsiMessage> message{};
    };

    [[nodiscard]] kvm_irq_routing& header() noexcept CXLVM_REQUIRES(mutex_);
    /// Rebuilds the table from the pins and `messages_`, and gives it to KVM.
    [[nodiscard]] int publish() noexcept CXLVM_REQUIRES(mutex_);

    const KvmVm& vm_;
    const std::size_t limit_;  ///< rows that KVM takes
    mutable io::Mutex mutex_;
    /// The entry at index i is GSI layout::kIoApicPins + i.
    std::vector<MessageGsi> messages_ CXLVM_GUARDED_BY(mutex_);
    /// kvm_irq_routing and room for all rows behind it; words, for its alignment.
    std::vector<std::uint64_t> table_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm
