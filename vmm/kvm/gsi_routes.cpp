// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/gsi_routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "devices/register.hpp"
#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

// Address of a message (Intel SDM volume 3, 11.11.1; bits 11 to 5 are KVM's extension).
constexpr Field<std::uint64_t, 63, 20> kMessageWindow;
constexpr std::uint64_t kLocalApics = layout::kLocalApic.value() >> kMessageWindow.kLow;
constexpr Field<std::uint32_t, 11, 5> kExtendedDestination;
// Upper half of the address, as KVM_CAP_X2APIC_API defines it.
constexpr Field<std::uint32_t, 14, 8> kWideDestination;

constexpr std::size_t kWord = sizeof(std::uint64_t);
static_assert(sizeof(kvm_irq_routing) == kWord && sizeof(kvm_irq_routing_entry) % kWord == 0);
constexpr std::size_t kWordsPerRow = sizeof(kvm_irq_routing_entry) / kWord;

std::size_t row_limit(const Kvm& kvm) noexcept {
    return static_cast<std::size_t>(std::max(0, kvm.capability(KVM_CAP_IRQ_ROUTING)));
}

kvm_irq_routing_entry pin_row(std::uint32_t pin) noexcept {
    kvm_irq_routing_entry row{};
    row.gsi = pin;
    row.type = KVM_IRQ_ROUTING_IRQCHIP;
    // KVM's own table sends GSI 0 to 15 to the PIC as well, where nobody waits for them.
    row.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
    row.u.irqchip.pin = pin;
    return row;
}

}  // namespace

kvm_irq_routing_msi msi_for_kvm(const MsiMessage& message, bool wide_ids) noexcept {
    Register<std::uint32_t> low{static_cast<std::uint32_t>(message.address)};
    Register<std::uint32_t> high{static_cast<std::uint32_t>(message.address >> 32)};
    if (wide_ids) {
        high = high.with(kWideDestination, low.get(kExtendedDestination));
        low = low.with(kExtendedDestination, 0);
    }
    kvm_irq_routing_msi msi{};
    msi.address_lo = low.raw;
    msi.address_hi = high.raw;
    msi.data = message.data;
    return msi;
}

GsiRoutes::GsiRoutes(const Kvm& kvm, const KvmVm& vm)
    : vm_(vm), limit_(row_limit(kvm)), table_(1 + std::size_t{layout::kIoApicPins} * kWordsPerRow) {
    const io::MutexLock lock(mutex_);
    if (const int error = publish(); error != 0) {
        io::throw_error(error, "KVM_SET_GSI_ROUTING");
    }
}

std::uint32_t GsiRoutes::acquire() {
    const io::MutexLock lock(mutex_);
    auto free = std::ranges::find(messages_, false, &MessageGsi::acquired);
    if (free == messages_.end()) {
        if (layout::kIoApicPins + messages_.size() >= limit_) {
            io::throw_error(ENOSPC, fmt::format("this host's KVM routes {} interrupts for one "
                                                "guest, and all are in use; give it fewer devices "
                                                "or queues",
                                                limit_));
        }
        table_.resize(table_.size() + kWordsPerRow);
        free = messages_.emplace(messages_.end());
    }
    free->acquired = true;
    return layout::kIoApicPins + static_cast<std::uint32_t>(free - messages_.begin());
}

void GsiRoutes::release(std::uint32_t gsi) noexcept {
    // A table with a row less leaves KVM nothing to refuse.
    static_cast<void>(set(gsi, std::nullopt));
    const io::MutexLock lock(mutex_);
    messages_[gsi - layout::kIoApicPins].acquired = false;
}

int GsiRoutes::set(std::uint32_t gsi, const std::optional<MsiMessage>& message) noexcept {
    const io::MutexLock lock(mutex_);
    io::check(gsi >= layout::kIoApicPins && gsi - layout::kIoApicPins < messages_.size() &&
                  messages_[gsi - layout::kIoApicPins].acquired,
              "GsiRoutes: a GSI that nobody acquired");
    MessageGsi& entry = messages_[gsi - layout::kIoApicPins];
    if (entry.message == message) {
        return 0;
    }
    // A write to anywhere else is no interrupt; KVM looks at some bits of the address only.
    if (message && Register<std::uint64_t>{message->address}.get(kMessageWindow) != kLocalApics) {
        return EINVAL;
    }
    const std::optional<MsiMessage> before = entry.message;
    entry.message = message;
    const int error = publish();
    if (error != 0) {
        entry.message = before;  // KVM has kept the old table
    }
    return error;
}

std::size_t GsiRoutes::size() const noexcept {
    const io::MutexLock lock(mutex_);
    return layout::kIoApicPins +
           static_cast<std::size_t>(std::ranges::count_if(
               messages_, [](const MessageGsi& entry) { return entry.message.has_value(); }));
}

kvm_irq_routing& GsiRoutes::header() noexcept {
    return *reinterpret_cast<kvm_irq_routing*>(table_.data());
}

int GsiRoutes::publish() noexcept {
    std::uint64_t* next = table_.data() + 1;
    const auto add = [&next](const kvm_irq_routing_entry& row) {
        std::memcpy(next, &row, sizeof(row));
        next += kWordsPerRow;
    };
    for (std::uint32_t pin = 0; pin < layout::kIoApicPins; ++pin) {
        add(pin_row(pin));
    }
    for (std::size_t i = 0; i < messages_.size(); ++i) {
        if (const auto& message = messages_[i].message) {
            kvm_irq_routing_entry row{};
            row.gsi = layout::kIoApicPins + static_cast<std::uint32_t>(i);
            row.type = KVM_IRQ_ROUTING_MSI;
            row.u.msi = msi_for_kvm(*message, vm_.wide_apic_ids());
            add(row);
        }
    }
    header() = {};
    const auto words = static_cast<std::size_t>(next - table_.data()) - 1;
    header().nr = static_cast<std::uint32_t>(words / kWordsPerRow);
    return vm_.set_gsi_routes(header());
}

}  // namespace cxlvm
