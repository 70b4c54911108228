// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/memory_slots.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "io/error.hpp"

namespace cxlvm {

namespace {

constexpr int kRemovalTries = 500;
constexpr std::chrono::milliseconds kRemovalPause{10};

std::size_t host_limit(const Kvm& kvm) noexcept {
    // 32 is the oldest kernels' fixed number.
    constexpr int kWithoutCapability = 32;
    const int limit = kvm.capability(KVM_CAP_NR_MEMSLOTS);
    return static_cast<std::size_t>(limit > 0 ? limit : kWithoutCapability);
}

}  // namespace

MemorySlots::MemorySlots(const Kvm& kvm, const KvmVm& vm)
    : vm_(vm), bases_(std::min(host_limit(kvm), kMost)) {}

std::error_code MemorySlots::mapped(const MemoryView& view) noexcept {
    const auto free = std::find(bases_.begin(), bases_.end(), std::nullopt);
    if (free == bases_.end()) {
        return std::make_error_code(std::errc::no_space_on_device);
    }
    kvm_userspace_memory_region region{};
    region.slot = static_cast<std::uint32_t>(free - bases_.begin());
    region.flags = view.read_only ? KVM_MEM_READONLY : 0;
    region.guest_phys_addr = view.range.base().value();
    region.memory_size = view.range.size();
    region.userspace_addr = reinterpret_cast<std::uintptr_t>(view.host.data());
    if (const int error = vm_.set_memory(region); error != 0) {
        return {error, std::generic_category()};
    }
    *free = view.range.base();
    return {};
}

void MemorySlots::unmapped(const MemoryView& view) noexcept {
    const auto slot = std::find(bases_.begin(), bases_.end(), view.range.base());
    io::check(slot != bases_.end(), "MemorySlots: unmapping what was never mapped");
    kvm_userspace_memory_region region{};
    region.slot = static_cast<std::uint32_t>(slot - bases_.begin());
    region.guest_phys_addr = view.range.base().value();
    // KVM needs a little memory of its own for this. Going on without would let the guest reach
    // memory that is somebody else's by then.
    int error = vm_.set_memory(region);
    for (int tries = 0; error == ENOMEM && tries < kRemovalTries; ++tries) {
        std::this_thread::sleep_for(kRemovalPause);
        error = vm_.set_memory(region);
    }
    io::check(error == 0, "MemorySlots: KVM refuses to remove a memory slot");
    slot->reset();
}

std::size_t MemorySlots::in_use() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(bases_.begin(), bases_.end(), [](const auto& base) { return !!base; }));
}

}  // namespace cxlvm
