// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "devices/virtio/balloon/balloon_device.hpp"
#include "io/event_loop.hpp"
#include "io/eventfd.hpp"
#include "io/log.hpp"
#include "vmm/exit_reason.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// Counters of one VM; a snapshot.
struct VmStatistics {
    std::uint64_t io_exits = 0;     ///< I/O port exits
    std::uint64_t mmio_exits = 0;   ///< memory-mapped exits
    std::uint64_t other_exits = 0;  ///< halts, signals and the rest
    std::uint64_t unclaimed = 0;    ///< accesses that no device claimed
};

/// Called now and then on the thread that builds a Vm, about once a second where that takes long
/// (MemoryConfig::prefault, and huge pages of one NUMA node). What it throws ends the building and
/// comes out of the constructor, with everything released.
using BuildCheckpoint = std::function<void()>;

/// A virtual machine. Owns everything that it is made of; construction builds it, destruction ends
/// it.
///
/// The library installs no signal handlers and holds no global state, so many Vms may live in a
/// process. vCPU threads use one signal, SIGSTKFLT, blocked in them, to leave the guest.
class Vm {
  public:
    /// Builds the machine and loads the guest, with an event loop of its own. Throws io::Error.
    /// `log` must outlive the Vm.
    Vm(const VmConfig& config, io::Log& log, const BuildCheckpoint& checkpoint = {});
    /// As above, on the embedder's loop, which must outlive the Vm and must not be running yet or
    /// must belong to the calling thread.
    Vm(const VmConfig& config, io::Log& log, io::EventLoop& loop,
       const BuildCheckpoint& checkpoint = {});
    Vm(const Vm&) = delete;
    Vm& operator=(const Vm&) = delete;
    /// Ends the guest when it still runs, gives up output that no reader has taken, and joins every
    /// thread. Not from within a completion of the loop.
    ~Vm();

    /// The loop that serves the devices; before start() the owner may start operations of its own.
    [[nodiscard]] io::EventLoop& loop() noexcept;

    /// Runs the guest to its end, serving the event loop on this thread. Throws io::Error when the
    /// threads of the vCPUs cannot be had; the loop has stopped then, as after every run.
    ExitReason run();
    /// Starts the vCPUs, and the event loop on a thread of its own unless it is the embedder's.
    /// Once, instead of run().
    void start();
    /// After start(): blocks until the guest has ended. Not from the thread that runs the loop.
    ExitReason wait();
    /// Readable once the guest has ended and every byte of console output has been written or, when
    /// its reader is gone, counted as lost. For an embedder's own loop.
    [[nodiscard]] const io::EventFd& ended() const noexcept;

    /// Presses the ACPI power button; ends the VM after the configured timeout. A second call is a
    /// stop(). Any thread.
    void request_power_off() noexcept;
    /// Ends the VM now, as PowerOff; its output is still written. A second call gives up the output
    /// that no reader has taken. Any thread.
    void stop() noexcept;
    /// Halts all vCPUs between two instructions; returns once they are. Any thread but theirs.
    void pause() noexcept;
    void resume() noexcept;

    /// For a program that is about to be stopped (SIGTSTP), and once it goes on: puts the terminal
    /// at standard input back as it was, and makes it raw again. In the background of the terminal
    /// there is no input, until the next take_terminal() in the foreground. No effect where the
    /// console has no terminal. From the loop's thread.
    void leave_terminal() noexcept;
    void take_terminal() noexcept;
    /// Tells the guest of the size that the terminal at standard input has now, where the virtio
    /// console has that terminal. From the loop's thread.
    void terminal_resized() noexcept;

    /// The balloon, for the calls that any thread may make while the Vm lives; nullptr without one.
    [[nodiscard]] virtio::balloon::BalloonDevice* balloon() noexcept;

    /// Who ended the VM.
    [[nodiscard]] EndCause end_cause() const noexcept;
    /// Why the VM ended with HostError.
    [[nodiscard]] const std::string& error() const noexcept;
    [[nodiscard]] VmStatistics statistics() const noexcept;
    /// Name of the pseudo-terminal (SerialConfig::Kind::Pty), empty otherwise.
    [[nodiscard]] const std::string& serial_path() const noexcept;
    /// As above, of the virtio console.
    [[nodiscard]] const std::string& console_path() const noexcept;

  private:
    class Machine;
    std::unique_ptr<Machine> machine_;
};

}  // namespace cxlvm
