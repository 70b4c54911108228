// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "devices/pci/bar_mapper.hpp"
#include "devices/pci_place.hpp"
#include "devices/virtio/console/console_device.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio_pci/virtio_function.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/console/console.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/msi_irqfd.hpp"
#include "vmm/machine/pci_tree.hpp"
#include "vmm/machine/virtio_parts.hpp"

namespace cxlvm {

/// What the virtio devices are wired to; everything outlives them.
struct VirtioWiring {
    const GuestMemory& memory;
    pci::BarMapper& bars;
    PciTree& pci;
    IrqChip& chip;
    Console* console;  ///< of the virtio console; nullptr without one
    PciPlace console_place;
    io::EventLoop& loop;
    io::Log& log;
};

/// The virtio devices of a machine on its PCI buses.
/// Destroyed when no vCPU runs and, once started, stop() has come to its end.
class VirtioDevices {
  public:
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
    /// A device in its place.
    struct Slot {
        std::vector<std::unique_ptr<MsiIrqfd>> vectors;
        std::unique_ptr<io::Task> stopped;
        std::unique_ptr<virtio::VirtioFunction> function;
    };

    void add(virtio::VirtioDevice& device, const PciPlace& place);
    void add_console(const PciPlace& place);
    void on_stopped() noexcept;

    // Wiring.
    const VirtioWiring wiring_;
    std::unique_ptr<virtio::console::ConsoleDevice> console_;
    std::vector<Slot> slots_;
    // State: the loop's thread.
    std::size_t running_ = 0;
    io::Task* stopped_ = nullptr;
};

}  // namespace cxlvm
