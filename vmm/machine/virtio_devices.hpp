// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "devices/pci/bar_mapper.hpp"
#include "devices/pci/bus.hpp"
#include "devices/pci/root_port.hpp"
#include "devices/shared_irq.hpp"
#include "devices/virtio/console/console_device.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio_pci/virtio_function.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/console/console.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/msi_irqfd.hpp"
#include "vmm/machine/virtio_parts.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// What the virtio devices are wired to; everything outlives them.
struct VirtioWiring {
    const GuestMemory& memory;
    pci::BarMapper& bars;
    pci::PciBus& bus;
    IrqChip& chip;
    Console* console;  ///< of the virtio console; nullptr without one
    io::EventLoop& loop;
    io::Log& log;
};

/// The virtio devices of a machine on its root bus, from device 1 on.
/// Destroyed when no vCPU runs and, once started, stop() has come to its end.
class VirtioDevices {
  public:
    /// What the devices that a configuration names need of the PCI buses.
    struct Needs {
        std::uint32_t places = 0;   ///< devices of the root bus, from number 1 on
        std::uint8_t last_bus = 0;  ///< one bus behind each root port
    };
    /// Throws io::Error (Fault::Input) when there are more than fit.
    [[nodiscard]] static Needs needs(const VmConfig& config);

    /// Throws io::Error. `parts` outlive this.
    VirtioDevices(const VirtioParts& parts, const VirtioWiring& wiring);
    VirtioDevices(const VirtioDevices&) = delete;
    VirtioDevices& operator=(const VirtioDevices&) = delete;
    ~VirtioDevices();

    /// nullptr where the configuration names none.
    [[nodiscard]] virtio::console::ConsoleDevice* console() noexcept { return console_.get(); }

    // The loop's thread, or before it runs.
    void start() noexcept;
    /// When no vCPU runs any longer: resets the devices, and posts `stopped` when nothing of theirs
    /// is in flight. Once.
    void stop(io::Task& stopped) noexcept;

  private:
    /// A wire to the I/O APIC.
    struct Wire {
        Wire(const IrqChip& chip, std::uint32_t gsi) noexcept : pin(chip, gsi), shared(pin) {}
        IrqPin pin;
        SharedIrq shared;
    };
    /// A device in its place.
    struct Slot {
        std::vector<std::unique_ptr<MsiIrqfd>> vectors;
        std::unique_ptr<SharedIrq::Holder> pin;
        std::unique_ptr<io::Task> stopped;
        std::unique_ptr<virtio::VirtioFunction> function;
        std::unique_ptr<pci::RootPort> port;  ///< which it is behind, if any
    };

    void add(virtio::VirtioDevice& device, bool root_port = false);
    void add_console();
    void on_stopped() noexcept;

    // Wiring.
    const VirtioWiring wiring_;
    std::vector<std::unique_ptr<Wire>> wires_;
    std::unique_ptr<virtio::console::ConsoleDevice> console_;
    std::vector<Slot> slots_;
    std::uint8_t ports_ = 0;
    // State: the loop's thread.
    std::size_t running_ = 0;
    io::Task* stopped_ = nullptr;
};

}  // namespace cxlvm
