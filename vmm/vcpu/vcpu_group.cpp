// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu/vcpu_group.hpp"

namespace cxlvm {

VcpuGroup::VcpuGroup(std::span<const std::uint32_t> apic_ids, const VcpuWiring& wiring) {
    vcpus_.reserve(apic_ids.size());
    for (const std::uint32_t apic_id : apic_ids) {
        vcpus_.push_back(std::make_unique<Vcpu>(size(), apic_id, wiring, *this));
    }
}

VcpuGroup::~VcpuGroup() {
    stop();
    join();
}

void VcpuGroup::start() {
    try {
        // Held to the end: the new threads wait for it in enter().
        const io::MutexLock lock(mutex_);
        for (const auto& vcpu : vcpus_) {
            vcpu->start();
        }
    } catch (...) {
        stop();
        join();
        throw;
    }
}

void VcpuGroup::pause() noexcept {
    const io::MutexLock lock(mutex_);
    if (gate_ == Gate::Open) {
        gate_ = Gate::Shut;
        kick_all();
    }
    while (inside_ != 0 && gate_ != Gate::Open) {
        all_outside_.wait(mutex_);
    }
}

void VcpuGroup::resume() noexcept {
    const io::MutexLock lock(mutex_);
    if (gate_ == Gate::Shut) {
        gate_ = Gate::Open;
        gate_changed_.notify_all();
        all_outside_.notify_all();
    }
}

void VcpuGroup::stop() noexcept {
    const io::MutexLock lock(mutex_);
    if (gate_ != Gate::Ending) {
        gate_ = Gate::Ending;
        gate_changed_.notify_all();
        kick_all();
    }
}

void VcpuGroup::join() noexcept {
    {
        // Once the state is Ending nobody kicks any more, so the threads may be joined unlocked.
        const io::MutexLock lock(mutex_);
        while (gate_ != Gate::Ending) {
            gate_changed_.wait(mutex_);
        }
    }
    for (const auto& vcpu : vcpus_) {
        vcpu->join();
    }
}

void VcpuGroup::kick_all() noexcept {
    for (const auto& vcpu : vcpus_) {
        vcpu->kick();
    }
}

bool VcpuGroup::enter() noexcept {
    const io::MutexLock lock(mutex_);
    return enter_locked();
}

bool VcpuGroup::enter_locked() noexcept {
    while (gate_ == Gate::Shut) {
        gate_changed_.wait(mutex_);
    }
    if (gate_ == Gate::Ending) {
        return false;
    }
    ++inside_;
    return true;
}

bool VcpuGroup::pass(const Vcpu& vcpu) noexcept {
    {
        const io::MutexLock lock(mutex_);
        if (gate_ == Gate::Open) {
            return true;  // resumed already, or a signal that was late
        }
        leave_locked();
        if (!enter_locked()) {
            return false;
        }
    }
    vcpu.kvm().notify_paused();
    return true;
}

void VcpuGroup::leave() noexcept {
    const io::MutexLock lock(mutex_);
    leave_locked();
}

void VcpuGroup::leave_locked() noexcept {
    if (--inside_ == 0) {
        all_outside_.notify_all();
    }
}

}  // namespace cxlvm
