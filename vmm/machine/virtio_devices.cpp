// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio_devices.hpp"

#include <fmt/format.h>

#include <utility>

#include "devices/pci/spec.hpp"
#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/block/disk_file.hpp"
#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

/// Device 0 of the root bus is the host bridge.
constexpr std::size_t kFirstDevice = 1;
constexpr std::size_t kMostDevices = pci::kDevicesPerBus - kFirstDevice;

}  // namespace

std::size_t VirtioDevices::count(const VmConfig& config) noexcept {
    return config.disks.size();
}

VirtioDevices::VirtioDevices(const VmConfig& config, const VirtioWiring& wiring) : wiring_(wiring) {
    if (const std::size_t wanted = count(config); wanted > kMostDevices) {
        io::throw_input(
            fmt::format("--disk: {} devices are more than the {} that the PCI bus has room for; "
                        "give fewer",
                        wanted, kMostDevices));
    }
    for (std::uint32_t wire = 0; wire < layout::kPciWires; ++wire) {
        wires_.push_back(std::make_unique<Wire>(wiring_.chip, layout::kPciGsi + wire));
    }
    virtio::block::check_distinct(config.disks);
    for (const virtio::block::BlockConfig& disk : config.disks) {
        add(std::make_unique<virtio::block::BlockDevice>(disk, wiring_.loop, wiring_.log));
    }
}

VirtioDevices::~VirtioDevices() {
    for (const Slot& slot : slots_) {
        wiring_.loop.withdraw(*slot.stopped);
    }
}

void VirtioDevices::add(std::unique_ptr<virtio::VirtioDevice> device) {
    const std::size_t number = kFirstDevice + slots_.size();
    Slot slot;
    slot.device = std::move(device);
    std::vector<MsiVector*> vectors;
    for (std::size_t i = 0; i < virtio::VirtioFunction::vectors_of(*slot.device); ++i) {
        slot.vectors.push_back(
            std::make_unique<MsiIrqfd>(slot.device->name(), wiring_.chip, wiring_.log));
        vectors.push_back(slot.vectors.back().get());
    }
    const auto wire = layout::pci_gsi(static_cast<std::uint32_t>(number)) - layout::kPciGsi;
    slot.pin = std::make_unique<SharedIrq::Holder>(wires_[wire]->shared);
    slot.stopped = std::make_unique<io::Task>(
        this, [](void* self) noexcept { static_cast<VirtioDevices*>(self)->on_stopped(); });
    slot.function = std::make_unique<virtio::VirtioFunction>(
        *slot.device, virtio::FunctionWiring{.memory = wiring_.memory,
                                             .bars = wiring_.bars,
                                             .pin = *slot.pin,
                                             .vectors = vectors,
                                             .loop = wiring_.loop,
                                             .log = wiring_.log});
    wiring_.bus.attach({.device = static_cast<std::uint8_t>(number)}, *slot.function);
    slots_.push_back(std::move(slot));
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
