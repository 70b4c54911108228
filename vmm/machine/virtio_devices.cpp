// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio_devices.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "devices/pci/spec.hpp"
#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

/// Device 0 of the root bus is the host bridge.
constexpr std::size_t kFirstDevice = 1;
constexpr std::size_t kMostDevices = pci::kDevicesPerBus - kFirstDevice;

}  // namespace

auto VirtioDevices::needs(const VmConfig& config) -> Needs {
    const std::size_t places = config.disks.size() + config.nets.size() + (config.vsock ? 1 : 0) +
                               (config.console ? 1 : 0) + (config.rng ? 1 : 0) +
                               (config.balloon ? 1 : 0);
    const auto ports = std::ranges::count_if(
        config.disks, [](const virtio::block::BlockConfig& disk) { return disk.root_port; });
    if (places > kMostDevices) {
        io::throw_input(
            fmt::format("--{}: {} devices are more than the {} that the PCI bus has room for; "
                        "give fewer",
                        config.nets.empty() ? "disk" : "net", places, kMostDevices));
    }
    return {.places = static_cast<std::uint32_t>(places),
            .last_bus = static_cast<std::uint8_t>(ports)};
}

VirtioDevices::VirtioDevices(const VirtioParts& parts, const VirtioWiring& wiring)
    : wiring_(wiring) {
    for (std::uint32_t wire = 0; wire < layout::kPciWires; ++wire) {
        wires_.push_back(std::make_unique<Wire>(wiring_.chip, layout::kPciGsi + wire));
    }
    for (const VirtioParts::Part& part : parts.before_console()) {
        add(*part.device, part.root_port);
    }
    if (wiring_.console != nullptr) {
        add_console();
    }
    for (const VirtioParts::Part& part : parts.behind_console()) {
        add(*part.device, part.root_port);
    }
}

VirtioDevices::~VirtioDevices() {
    for (const Slot& slot : slots_) {
        wiring_.loop.withdraw(*slot.stopped);
    }
}

// The pin of a device behind a port comes out as the port's own (PCI-to-PCI Bridge Architecture
// Specification 1.2, 9.1): INTA# of device 0 as INTA#.
void VirtioDevices::add(virtio::VirtioDevice& device, bool root_port) {
    const std::size_t number = kFirstDevice + slots_.size();
    Slot slot;
    std::vector<MsiVector*> vectors;
    for (std::size_t i = 0; i < virtio::VirtioFunction::vectors_of(device); ++i) {
        slot.vectors.push_back(
            std::make_unique<MsiIrqfd>(device.name(), wiring_.chip, wiring_.log));
        vectors.push_back(slot.vectors.back().get());
    }
    const auto wire = layout::pci_gsi(static_cast<std::uint32_t>(number)) - layout::kPciGsi;
    slot.pin = std::make_unique<SharedIrq::Holder>(wires_[wire]->shared);
    slot.stopped = std::make_unique<io::Task>(
        this, [](void* self) noexcept { static_cast<VirtioDevices*>(self)->on_stopped(); });
    slot.function = std::make_unique<virtio::VirtioFunction>(
        device, virtio::FunctionWiring{
                    .memory = wiring_.memory,
                    .bars = wiring_.bars,
                    .pin = *slot.pin,
                    .type = root_port ? pci::PortType::Endpoint : pci::PortType::Integrated,
                    .vectors = vectors,
                    .loop = wiring_.loop,
                    .log = wiring_.log});
    pci::PciFunction* on_bus = slot.function.get();
    if (root_port) {
        slot.port = std::make_unique<pci::RootPort>(++ports_);
        slot.port->attach(*slot.function);
        on_bus = slot.port.get();
    }
    wiring_.bus.attach({.device = static_cast<std::uint8_t>(number)}, *on_bus);
    slots_.push_back(std::move(slot));
}

void VirtioDevices::add_console() {
    std::optional<virtio::console::ConsoleSize> size;
    if (const auto terminal = wiring_.console->terminal_size()) {
        size = {.columns = terminal->columns, .rows = terminal->rows};
    }
    console_ =
        std::make_unique<virtio::console::ConsoleDevice>(*wiring_.console, size, wiring_.loop);
    wiring_.console->attach(*console_);
    add(*console_);
}

void VirtioDevices::start() noexcept {
    for (const Slot& slot : slots_) {
        slot.function->start();
    }
}

void VirtioDevices::stop(io::Task& stopped) noexcept {
    if (slots_.empty()) {
        wiring_.loop.post(stopped);
        return;
    }
    stopped_ = &stopped;
    running_ = slots_.size();
    for (const Slot& slot : slots_) {
        slot.function->stop(*slot.stopped);
    }
}

void VirtioDevices::on_stopped() noexcept {
    if (--running_ == 0) {
        wiring_.loop.post(*stopped_);
    }
}

}  // namespace cxlvm
