// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "io/mutex.hpp"
#include "vmm/vcpu/vcpu.hpp"

namespace cxlvm {

/// All vCPUs of a machine, and the gate through which each has to pass into the guest.
///
/// Any thread may call stop(); start(), pause() and resume() come from any thread but the vCPUs'.
/// The lock is a leaf: nothing else is locked, and no guest code runs, while it is held.
class VcpuGroup {
  public:
    /// Makes one vCPU for each id, stopped; throws io::Error.
    VcpuGroup(std::span<const std::uint32_t> apic_ids, const VcpuWiring& wiring);
    VcpuGroup(const VcpuGroup&) = delete;
    VcpuGroup& operator=(const VcpuGroup&) = delete;
    /// Stops and joins.
    ~VcpuGroup();

    [[nodiscard]] unsigned size() const noexcept { return static_cast<unsigned>(vcpus_.size()); }
    [[nodiscard]] const Vcpu& operator[](unsigned index) const noexcept { return *vcpus_[index]; }

    /// Starts the threads; none enters the guest before all exist. Once. Throws io::Error when the
    /// host refuses one; then the others have ended.
    void start();
    /// Holds the vCPUs between two instructions, their accesses to devices finished. Returns once
    /// all are; before start() it makes them wait there.
    void pause() noexcept;
    void resume() noexcept;
    /// Calls all vCPUs back for good. Does not wait: join() does.
    void stop() noexcept;
    /// Waits until every thread has ended, after stop(). Not from a vCPU's thread. From one thread.
    void join() noexcept;

  private:
    friend class Vcpu;

    // For a vCPU's thread. enter and pass wait while the gate is shut, and return false, with the
    // vCPU outside, when the machine ends.
    bool enter() noexcept;
    bool pass(const Vcpu& vcpu) noexcept;
    void leave() noexcept;

    enum class Gate : std::uint8_t { Shut, Open, Ending };
    void kick_all() noexcept CXLVM_REQUIRES(mutex_);
    bool enter_locked() noexcept CXLVM_REQUIRES(mutex_);
    void leave_locked() noexcept CXLVM_REQUIRES(mutex_);

    io::Mutex mutex_;
    std::condition_variable_any gate_changed_;
    std::condition_variable_any all_outside_;
    Gate gate_ CXLVM_GUARDED_BY(mutex_) = Gate::Open;
    unsigned inside_ CXLVM_GUARDED_BY(mutex_) = 0;
    std::vector<std::unique_ptr<Vcpu>> vcpus_;
};

}  // namespace cxlvm
