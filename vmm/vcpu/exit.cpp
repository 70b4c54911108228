// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu/exit.hpp"

#include <algorithm>
#include <bit>

namespace cxlvm {

namespace {

ExitVerdict system_event(std::uint32_t type) noexcept {
    switch (type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
            return ExitVerdict::PowerOff;
        case KVM_SYSTEM_EVENT_RESET:
            return ExitVerdict::Reset;
        case KVM_SYSTEM_EVENT_CRASH:
            return ExitVerdict::GuestPanic;
        default:
            return ExitVerdict::Unknown;
    }
}

}  // namespace

ExitVerdict ExitDispatcher::dispatch(kvm_run& run) const noexcept {
    switch (run.exit_reason) {
        case KVM_EXIT_IO:
            port_access(run);
            return ExitVerdict::Resume;
        case KVM_EXIT_MMIO:
            memory_access(run);
            return ExitVerdict::Resume;
        case KVM_EXIT_SHUTDOWN:
            ExitCounters::count(counters_.other);
            return ExitVerdict::TripleFault;
        case KVM_EXIT_SYSTEM_EVENT:
            ExitCounters::count(counters_.other);
            return system_event(run.system_event.type);
        case KVM_EXIT_INTERNAL_ERROR:
            ExitCounters::count(counters_.other);
            return ExitVerdict::InternalError;
        case KVM_EXIT_FAIL_ENTRY:
            ExitCounters::count(counters_.other);
            return ExitVerdict::EntryFailed;
        default:
            ExitCounters::count(counters_.other);
            return ExitVerdict::Unknown;
    }
}

void ExitDispatcher::port_access(kvm_run& run) const noexcept {
    ExitCounters::count(counters_.io);
    // A string instruction comes as `count` accesses to one port, one after another.
    const std::size_t size = run.io.size;
    auto* data = reinterpret_cast<std::byte*>(&run) + run.io.data_offset;
    for (std::uint32_t i = 0; i < run.io.count; ++i, data += size) {
        const std::span<std::byte> bytes(data, size);
        count_status(run.io.direction == KVM_EXIT_IO_OUT ? ports_.write(run.io.port, bytes)
                                                         : ports_.read(run.io.port, bytes));
    }
}

void ExitDispatcher::memory_access(kvm_run& run) const noexcept {
    ExitCounters::count(counters_.mmio);
    // An access that crosses a page comes in pieces of any length; devices see powers of two.
    std::size_t left = std::min<std::size_t>(run.mmio.len, sizeof(run.mmio.data));
    auto* data = reinterpret_cast<std::byte*>(run.mmio.data);
    std::uint64_t address = run.mmio.phys_addr;
    while (left != 0) {
        const std::size_t size = std::bit_floor(left);
        const std::span<std::byte> bytes(data, size);
        count_status(run.mmio.is_write != 0 ? memory_.write(address, bytes)
                                            : memory_.read(address, bytes));
        data += size;
        address += size;
        left -= size;
    }
}

void ExitDispatcher::count_status(IoStatus status) const noexcept {
    if (status == IoStatus::Unmapped) {
        ExitCounters::count(counters_.unclaimed);
    }
}

}  // namespace cxlvm
