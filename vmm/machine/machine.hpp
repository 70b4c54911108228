// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/pci/bar_mapper.hpp"
#include "io/event_loop.hpp"
#include "io/eventfd.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"
#include "io/operations.hpp"
#include "io/thread.hpp"
#include "memory/address_space.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/acpi/acpi.hpp"
#include "vmm/boot/boot.hpp"
#include "vmm/cpu/cpuid.hpp"
#include "vmm/cpu/topology.hpp"
#include "vmm/kvm/ioeventfds.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/kvm.hpp"
#include "vmm/kvm/memory_slots.hpp"
#include "vmm/machine/board.hpp"
#include "vmm/machine/consoles.hpp"
#include "vmm/machine/passed_devices.hpp"
#include "vmm/machine/pci_plan.hpp"
#include "vmm/machine/pci_tree.hpp"
#include "vmm/machine/placement.hpp"
#include "vmm/machine/virtio_devices.hpp"
#include "vmm/machine/virtio_parts.hpp"
#include "vmm/vcpu/vcpu_group.hpp"
#include "vmm/vm.hpp"

namespace cxlvm {

/// Everything that a VM is made of, by value, in the order in which it is acquired.
///
/// The end. The first reason wins, from whatever thread: a device's system event, a vCPU that
/// cannot go on, stop(). It calls all vCPUs back and hands the rest to the loop's thread, which
/// joins the vCPUs, has the devices give back what they hold of guest memory, lets the console
/// write what it still holds, and then says that the machine has ended. No operation is in flight
/// after that.
class Vm::Machine final : private SystemEventSink, private VcpuOwner {
  public:
    /// `embedder_loop`: nullptr for a loop of our own.
    Machine(const VmConfig& config, io::Log& log, io::EventLoop* embedder_loop,
            const BuildCheckpoint& checkpoint);
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine();

    [[nodiscard]] io::EventLoop& loop() noexcept { return loop_; }
    [[nodiscard]] const io::EventFd& ended() const noexcept { return ended_; }
    [[nodiscard]] EndCause end_cause() const noexcept { return cause_; }
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    [[nodiscard]] const std::string& serial_path() const noexcept {
        return consoles_.serial().path();
    }
    [[nodiscard]] const std::string& console_path() const noexcept;
    [[nodiscard]] VmStatistics statistics() const noexcept;

    ExitReason run();
    void start();
    ExitReason wait() noexcept CXLVM_EXCLUDES(mutex_);
    void request_power_off() noexcept;
    void stop() noexcept { stop(EndCause::Request); }
    void leave_terminal() noexcept { consoles_.leave_terminal(); }
    void take_terminal() noexcept { consoles_.take_terminal(); }
    void terminal_resized() noexcept;
    [[nodiscard]] virtio::balloon::BalloonDevice* balloon() noexcept { return parts_.balloon(); }
    void pause() noexcept { vcpus_.pause(); }
    void resume() noexcept { vcpus_.resume(); }

  private:
    /// RAM as regions of the guest's address space, announced when it has been filled.
    class Ram {
      public:
        Ram(const GuestMemory& memory, AddressSpace& space);

      private:
        std::vector<std::unique_ptr<Region>> regions_;
    };
    /// Keeps a listener in an address space for as long as both live.
    class Listening {
      public:
        Listening(AddressSpace& space, MemoryListener& listener);
        Listening(const Listening&) = delete;
        Listening& operator=(const Listening&) = delete;
        ~Listening() { space_.remove_listener(listener_); }

      private:
        AddressSpace& space_;
        MemoryListener& listener_;
    };

    /// Has doorbells connected for as long as both live.
    class Connected {
      public:
        Connected(AddressSpace& space, DoorbellHost& host) noexcept;
        Connected(const Connected&) = delete;
        Connected& operator=(const Connected&) = delete;
        ~Connected() { space_.disconnect_doorbells(); }

      private:
        AddressSpace& space_;
    };

    /// Ends the VM on a thread that it starts: KVM waits for grace periods of RCU there as well.
    class Closing {
      public:
        Closing(KvmVm& vm, io::Thread& thread) noexcept : vm_(vm), thread_(thread) {}
        Closing(const Closing&) = delete;
        Closing& operator=(const Closing&) = delete;
        ~Closing();

      private:
        KvmVm& vm_;
        io::Thread& thread_;
    };

    /// On the loader's thread.
    void load() noexcept;
    [[nodiscard]] std::vector<acpi::HostBridge> host_bridges() const;
    [[nodiscard]] boot::LoadedGuest loaded(const BuildCheckpoint& checkpoint);
    /// Runs the loop until the machine has ended.
    void serve() noexcept;

    void raise(SystemEvent event) noexcept override;
    void vcpu_ended(ExitReason reason, std::string_view message) noexcept override;
    void end(ExitReason reason, EndCause cause, std::string_view message = {}) noexcept;
    void stop(EndCause cause) noexcept;
    void quit() noexcept { stop(EndCause::EscapeKey); }
    void abandon_output() noexcept;
    [[nodiscard]] bool finished() noexcept CXLVM_EXCLUDES(mutex_);

    // On the loop's thread.
    void on_power_off_requested() noexcept;
    void limit_time() noexcept;
    void on_power_off_timeout(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_ending() noexcept;
    void on_abandoned() noexcept;
    void on_console_finished() noexcept;
    void on_devices_stopped() noexcept;
    void finish_when_idle() noexcept CXLVM_EXCLUDES(mutex_);

    // Configuration.
    const VmConfig config_;
    io::Log& log_;
    const cpu::Topology topology_;
    const std::vector<std::uint32_t> apic_ids_;
    io::RateLimit crash_reports_;  ///< any vCPU's thread

    // The host's side.
    Kvm kvm_;
    const std::vector<cpu::CpuidEntry> cpuid_;
    io::Thread closer_;  ///< ends the VM while the memory is released
    GuestMemory memory_;
    const Placement placement_;
    const PciPlan pci_plan_;
    /// KVM_CREATE_VM waits for grace periods of RCU: another thread loads the guest meanwhile.
    std::promise<boot::LoadedGuest> loading_;
    io::Thread loader_;
    KvmVm vm_;
    Closing vm_closing_;
    std::optional<io::EventLoop> own_loop_;
    io::EventLoop& loop_;
    const bool loop_is_ours_;

    // How the machine ends.
    io::EventFd ended_;
    std::atomic<bool> ending_{false};
    std::atomic<bool> abandoning_{false};
    std::atomic<unsigned> power_off_requests_{0};
    std::atomic<unsigned> stops_{0};
    /// Written by whoever ends the machine, read once it has ended.
    ExitReason reason_ = ExitReason::PowerOff;
    EndCause cause_ = EndCause::Guest;
    std::string error_;
    io::Mutex mutex_;
    std::condition_variable_any has_ended_;
    bool finished_ CXLVM_GUARDED_BY(mutex_) = false;
    bool stop_loop_at_end_ = false;  ///< the loop's thread, or before it runs
    bool console_finished_ = false;  ///< the loop's thread
    bool devices_stopped_ = false;   ///< the loop's thread
    bool started_ = false;           ///< the owner's thread
    io::Task ending_task_;
    io::Task abandon_task_;
    io::Task console_finished_task_;
    io::Task devices_stopped_task_;
    io::Task power_off_task_;
    io::TimeoutOp power_off_timeout_;

    // The guest's side.
    AddressSpace memory_space_;
    AddressSpace port_space_;
    MemorySlots slots_;
    IrqChip chip_;
    /// Before the consoles: what cannot be loaded or opened has emptied no output file.
    const boot::LoadedGuest guest_;
    const VirtioParts parts_;
    PassedParts passed_parts_;
    Consoles consoles_;
    PciTree pci_;
    Board board_;
    IoEventFds memory_doorbells_;
    Connected memory_doorbells_connected_;
    IoEventFds port_doorbells_;
    Connected port_doorbells_connected_;
    pci::BarMapper bars_;
    VirtioDevices devices_;
    PassedDevices passed_;
    Ram ram_;
    /// Pins RAM where there are passed devices. Before KVM's slots, which are cheap to take back.
    std::optional<Listening> dma_listens_;
    Listening slots_listen_;

    // Threads: ours for the loop, then those of the vCPUs.
    io::Thread loop_thread_;
    VcpuGroup vcpus_;
};

}  // namespace cxlvm
