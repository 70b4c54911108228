// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/virtio_function.hpp"

#include <array>
#include <utility>
#include <vector>

#include "devices/pci/capabilities.hpp"
#include "devices/pci/spec.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio {

namespace {

constexpr std::uint8_t kPinA = 1;

std::uint32_t class_of(DeviceId id) noexcept {
    switch (id) {
        case DeviceId::Network:
            return pci::kClassEthernet;
        case DeviceId::Block:
            return pci::kClassOtherStorage;
        case DeviceId::Console:
            return pci::kClassOtherCommunication;
        case DeviceId::Socket:
            return pci::kClassOtherNetwork;
        case DeviceId::Entropy:
        case DeviceId::Balloon:
            break;
    }
    return pci::kClassUnclassified;
}

pci::Identity identity_of(const VirtioDevice& device) noexcept {
    return {.vendor_id = kPciVendor,
            .device_id = pci_device_id(device.id()),
            .revision = kPciMinRevision,
            .class_code = class_of(device.id()),
            .subsystem_vendor_id = kPciVendor,
            .subsystem_id = kPciMinSubsystem,
            .interrupt_pin = kPinA};
}

/// A structure of the transport's (4.1.4), as a capability says where it lies.
struct Structure {
    PciCapability type;
    std::uint64_t offset;
    std::uint64_t length;
    std::uint8_t bar = VirtioFunction::kBar;
};

void add_structure(pci::PciFunction& function, const Structure& structure) {
    const bool notify = structure.type == PciCapability::Notify;
    const std::uint16_t size = notify ? kPciCapNotifySize : kPciCapSize;
    std::vector<RegisterSpec> body{
        {.offset = kPciCapLength, .width = 1, .reset = size},
        {.offset = kPciCapType, .width = 1, .reset = io::to_underlying(structure.type)},
        {.offset = kPciCapBar, .width = 1, .reset = structure.bar},
        {.offset = kPciCapOffset, .width = 4, .reset = structure.offset},
        {.offset = kPciCapRegionLength, .width = 4, .reset = structure.length}};
    if (notify) {
        body.push_back({.offset = kPciCapNotifyMultiplier, .width = 4, .reset = kNotifyMultiplier});
    }
    function.with_config([&](pci::ConfigSpace& config) {
        config.add_capability(pci::kCapabilityVendor, size, body);
    });
}

void add_structures(pci::PciFunction& function, const Transport& transport, bool has_ports) {
    add_structure(function, {PciCapability::Common, kCommonBase, kCommonSize});
    add_structure(function, {PciCapability::Isr, kIsrBase, 1});
    // Which is optional for a device that has no configuration space (4.1.4.6).
    if (transport.config_size() != 0) {
        add_structure(function,
                      {PciCapability::Device, kDeviceConfigBase, transport.config_size()});
    }
    const std::uint64_t notify_length = std::uint64_t{kNotifyMultiplier} * transport.queues();
    if (has_ports) {
        add_structure(function,
                      {PciCapability::Notify, 0, notify_length, VirtioFunction::kNotifyBar});
    }
    add_structure(function, {PciCapability::Notify, kNotifyBase, notify_length});
}

std::uint16_t checked_vectors(const VirtioDevice& device, const FunctionWiring& wiring) {
    const std::size_t count = wiring.vectors.size();
    io::check(count == VirtioFunction::vectors_of(device) && count <= VirtioFunction::kMostVectors,
              "a virtio function was given another number of vectors than it asked for");
    return static_cast<std::uint16_t>(count);
}

}  // namespace

VirtioFunction::VirtioFunction(VirtioDevice& device, const FunctionWiring& wiring)
    : PciFunction(device.name(), identity_of(device)),
      vectors_(checked_vectors(device, wiring)),
      msi_vectors_(wiring.vectors.begin(), wiring.vectors.end()),
      loop_(wiring.loop),
      msix_(
          *this, wiring.vectors,
          {.table_bar = kBar, .table_offset = kMsixTable, .pba_bar = kBar, .pba_offset = kMsixPba}),
      pin_(*this, wiring.pin),
      transport_(device, wiring.memory, *this, wiring.log),
      doorbells_(transport_, wiring.loop, wiring.log),
      notify_ports_(transport_),
      window_(*this, window_targets(wiring.has_ports)),
      doorbells_stopped_task_(io::Task::to<&VirtioFunction::on_doorbells_stopped>(*this)),
      reset_ended_task_(io::Task::to<&VirtioFunction::on_reset_ended>(*this)),
      registers_(device.name(), kTransportSize, transport_, doorbells_.doorbells()),
      msix_table_("MSI-X table", pci::Msix::table_size(vectors_), msix_.table()),
      msix_pba_("MSI-X pending bits", pci::Msix::pba_size(vectors_), msix_.pba()),
      bars_(*this, wiring.bars, bar_specs(wiring.has_ports)) {
    add_structures(*this, transport_, notify_region_.has_value());
    pci::add_power_management(*this);
    pci::add_express_with_reset(*this, wiring.type);
}

std::vector<AccessWindow::Target> VirtioFunction::window_targets(bool has_ports) {
    std::vector<AccessWindow::Target> targets{{kBar, kTransportSize, transport_}};
    const std::uint64_t ports = NotifyPorts::size_for(transport_.queues());
    if (has_ports && ports != 0) {
        targets.push_back({kNotifyBar, ports, notify_ports_});
    }
    return targets;
}

std::vector<pci::BarSpec> VirtioFunction::bar_specs(bool has_ports) {
    std::vector<pci::BarSpec> bars{
        {.index = kBar,
         .kind = pci::BarKind::Memory64,
         .size = kBarSize,
         .pieces = {{0, registers_}, {kMsixTable, msix_table_}, {kMsixPba, msix_pba_}}}};
    const std::uint64_t ports = NotifyPorts::size_for(transport_.queues());
    if (has_ports && ports != 0) {
        notify_region_.emplace("virtqueue notifications", ports, notify_ports_,
                               doorbells_.port_doorbells());
        bars.push_back({.index = kNotifyBar,
                        .kind = pci::BarKind::Ports,
                        .size = ports,
                        .pieces = {{0, *notify_region_}}});
    }
    return bars;
}

VirtioFunction::~VirtioFunction() {
    loop_.withdraw(doorbells_stopped_task_);
    loop_.withdraw(reset_ended_task_);
}

void VirtioFunction::reset() noexcept {
    PciFunction::reset();
    transport_.reset();
}

void VirtioFunction::config_reading(std::uint64_t offset, std::size_t size) noexcept {
    window_.config_reading(offset, size);
}

void VirtioFunction::config_written(std::uint64_t offset, std::size_t size) noexcept {
    window_.config_written(offset, size);
    settle_pin();
    const bool enabled = msix_.enabled();
    if (msix_was_enabled_.exchange(enabled) != enabled) {
        transport_.interrupts_changed();
    }
}

// --- Interrupts ---

void VirtioFunction::set_intx(bool level) noexcept {
    {
        const io::MutexLock lock(pin_mutex_);
        interrupt_ = level;
    }
    settle_pin();
}

// With MSI-X enabled the pin is left alone (PCI Express 6.0, 6.1.4.3).
void VirtioFunction::settle_pin() noexcept {
    const io::MutexLock lock(pin_mutex_);
    pin_.set(interrupt_ && !msix_.enabled());
}

// --- The end ---

void VirtioFunction::stop(io::Task& stopped) noexcept {
    stopped_ = &stopped;
    stopping_.store(true);
    transport_.reset();
    doorbells_.stop(doorbells_stopped_task_);
}

void VirtioFunction::reset_ended() noexcept {
    if (stopping_.load() && !reset_told_.exchange(true)) {
        loop_.post(reset_ended_task_);
    }
}

void VirtioFunction::on_doorbells_stopped() noexcept {
    finish_when_idle();
}

void VirtioFunction::on_reset_ended() noexcept {
    finish_when_idle();
}

void VirtioFunction::finish_when_idle() noexcept {
    if (stopped_ != nullptr && doorbells_.idle() && !transport_.resetting()) {
        loop_.post(*std::exchange(stopped_, nullptr));
    }
}

}  // namespace cxlvm::virtio
