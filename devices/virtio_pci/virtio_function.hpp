// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/irq.hpp"
#include "devices/msi.hpp"
#include "devices/pci/bar.hpp"
#include "devices/pci/bar_mapper.hpp"
#include "devices/pci/function.hpp"
#include "devices/pci/interrupt_pin.hpp"
#include "devices/pci/msix.hpp"
#include "devices/pci/spec_bridge.hpp"
#include "devices/virtio/device.hpp"
#include "devices/virtio/interrupts.hpp"
#include "devices/virtio/transport.hpp"
#include "devices/virtio_pci/access_window.hpp"
#include "devices/virtio_pci/doorbells.hpp"
#include "devices/virtio_pci/notify_ports.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"
#include "memory/address_space.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::virtio {

/// What a virtio function is wired to; everything outlives it.
struct FunctionWiring {
    const GuestMemory& memory;
    pci::BarMapper& bars;
    IrqLine& pin;  ///< INTA#
    /// Integrated into the root complex, or an endpoint behind a port.
    pci::PortType type = pci::PortType::Integrated;
    /// I/O requests reach the function, and ports are to be had for it.
    bool has_ports = false;
    std::span<MsiVector* const> vectors;  ///< VirtioFunction::vectors_of() many
    io::EventLoop& loop;
    io::Log& log;
};

/// Spec:       virtio 1.2, 4.1 (virtio over PCI bus).
/// Implements: a modern device as an endpoint, integrated into the root complex or behind a port:
///             all structures in one BAR of 64 bits, MSI-X with a vector for each queue and one for
///             configuration changes, INTx while MSI-X is off; function level reset. Where I/O
///             requests reach it, the notifications are I/O ports too, and those are named first
///             (4.1.4: a driver takes the first that it can use).
/// Deviates:   guest memory is accessed whatever Bus Master Enable says; messages are held back.
///
/// One device on a PCI bus, with its transport. Built before a vCPU runs; destroyed when none does,
/// and after stop() has come to its end if the device was ever in use.
class VirtioFunction final : public pci::PciFunction, private TransportInterrupts {
  public:
    /// The BAR with everything in it: the transport's registers, then those of MSI-X.
    static constexpr std::uint8_t kBar = 0;
    static constexpr std::uint64_t kBarSize = 0x8000;
    static constexpr std::uint8_t kNotifyBar = 2;
    static constexpr std::uint32_t kMsixTable = 0x4000;
    static constexpr std::uint32_t kMsixPba = 0x6000;
    static constexpr std::size_t kMostVectors = (kMsixPba - kMsixTable) / pci::kMsixEntrySize;

    /// How many vectors `device` is to be given.
    [[nodiscard]] static std::size_t vectors_of(const VirtioDevice& device) noexcept {
        return device.queues().size() + 1;
    }

    /// Throws io::Error. `device` outlives this.
    VirtioFunction(VirtioDevice& device, const FunctionWiring& wiring);
    VirtioFunction(const VirtioFunction&) = delete;
    VirtioFunction& operator=(const VirtioFunction&) = delete;
    ~VirtioFunction() override;

    void reset() noexcept override;

    // The loop's thread.
    /// Listens to notifications.
    void start() noexcept { doorbells_.start(); }
    /// Once, when no vCPU runs any longer: resets the device, and posts `stopped` when nothing of
    /// it is in flight.
    void stop(io::Task& stopped) noexcept;

  private:
    // TransportInterrupts.
    [[nodiscard]] std::uint16_t vectors() const noexcept override { return vectors_; }
    [[nodiscard]] bool msix_enabled() const noexcept override { return msix_.enabled(); }
    void raise(std::uint16_t vector) noexcept override { static_cast<void>(msix_.raise(vector)); }
    void set_intx(bool level) noexcept override CXLVM_EXCLUDES(pin_mutex_);
    [[nodiscard]] int share(std::uint16_t vector) noexcept override {
        return msi_vectors_[vector]->share();
    }
    [[nodiscard]] int hand_over_kicks(std::uint16_t queue) noexcept override {
        return doorbells_.hand_over(queue);
    }
    void take_back_kicks(std::uint16_t queue) noexcept override { doorbells_.take_back(queue); }
    void reset_ended() noexcept override;

    // pci::PciFunction.
    void config_reading(std::uint64_t offset, std::size_t size) noexcept override;
    void config_written(std::uint64_t offset, std::size_t size) noexcept override;

    [[nodiscard]] std::vector<AccessWindow::Target> window_targets(bool has_ports);
    [[nodiscard]] std::vector<pci::BarSpec> bar_specs(bool has_ports);
    void settle_pin() noexcept CXLVM_EXCLUDES(pin_mutex_);
    void on_doorbells_stopped() noexcept;
    void on_reset_ended() noexcept;
    void finish_when_idle() noexcept;

    // Configuration.
    const std::uint16_t vectors_;
    // Wiring.
    const std::vector<MsiVector*> msi_vectors_;
    io::EventLoop& loop_;
    mutable pci::Msix msix_;  ///< to ask it, it has to be locked
    pci::InterruptPin pin_;
    // Held while the pin is set, so that the last one to do so has seen the last change. Before the
    // locks of the pin and the function.
    io::Mutex pin_mutex_;
    bool interrupt_ CXLVM_GUARDED_BY(pin_mutex_) = false;  ///< the transport's interrupt status
    Transport transport_;
    QueueDoorbells doorbells_;
    NotifyPorts notify_ports_;
    AccessWindow window_;
    std::atomic<bool> msix_was_enabled_{false};
    // How it ends.
    std::atomic<bool> stopping_{false};
    std::atomic<bool> reset_told_{false};
    io::Task* stopped_ = nullptr;  ///< the loop's thread
    io::Task doorbells_stopped_task_;
    io::Task reset_ended_task_;
    // What the guest reaches.
    Region registers_;
    std::optional<Region> notify_region_;
    Region msix_table_;
    Region msix_pba_;
    pci::Bars bars_;
};

}  // namespace cxlvm::virtio
