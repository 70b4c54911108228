// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "devices/pci/bar_mapper.hpp"
#include "devices/vfio/dma_listener.hpp"
#include "devices/vfio/host.hpp"
#include "devices/vfio/passed_device.hpp"
#include "devices/vfio/vfio_pci_function.hpp"
#include "io/log.hpp"
#include "memory/address_space.hpp"
#include "vmm/kvm/irq_chip.hpp"
#include "vmm/kvm/kvm_vfio.hpp"
#include "vmm/kvm/passed_irqfd.hpp"
#include "vmm/machine/pci_tree.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// The host's devices that a configuration names, opened and on no bus yet: one that cannot be had
/// stops the machine before a console has emptied its file.
class PassedParts {
  public:
    /// Throws io::Error. `vm` and `log` outlive this.
    PassedParts(const VmConfig& config, const KvmVm& vm, io::Log& log);

    struct Part {
        std::unique_ptr<vfio::PassedDevice> device{};
        PciPlace place{};
    };
    /// In the order of the configuration.
    [[nodiscard]] const std::vector<Part>& devices() const noexcept { return devices_; }
    /// To join the guest's memory once RAM is there, before a vCPU runs; it refuses nothing when
    /// there are no devices.
    [[nodiscard]] vfio::DmaListener& dma() noexcept { return dma_; }

  private:
    KvmVfio files_;
    vfio::Host host_;
    vfio::DmaListener dma_;
    std::vector<Part> devices_;
};

/// What the passed devices are wired to; everything outlives them.
struct PassedWiring {
    pci::BarMapper& bars;
    PciTree& pci;
    IrqChip& chip;
    io::Log& log;
};

/// The passed devices of a machine on its PCI buses, behind all others.
/// Destroyed when no vCPU runs.
class PassedDevices {
  public:
    /// Throws io::Error. `parts` outlive this.
    PassedDevices(const PassedParts& parts, const PassedWiring& wiring);
    PassedDevices(const PassedDevices&) = delete;
    PassedDevices& operator=(const PassedDevices&) = delete;
    ~PassedDevices() = default;

    /// Before vCPUs are called back: none waits for a reset of a device, but for one that it runs.
    /// Any thread.
    void end_resets() noexcept;
    /// When no vCPU runs any longer: no interrupts and no DMA come any more.
    void stop() noexcept;

  private:
    struct Slot {
        std::vector<std::unique_ptr<PassedMsiIrqfd>> vectors{};
        std::unique_ptr<PassedPinIrqfd> pin{};
        std::unique_ptr<vfio::VfioPciFunction> function{};
    };

    std::vector<Slot> slots_;
};

}  // namespace cxlvm
