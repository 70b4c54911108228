// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/passed_devices.hpp"

#include <utility>

#include "devices/vfio/memlock.hpp"

namespace cxlvm {

PassedParts::PassedParts(const VmConfig& config, const KvmVm& vm, io::Log& log)
    : files_(vm), host_(vfio::host_kernel(), files_), dma_(host_, log) {
    if (!config.devices.empty()) {
        vfio::check_memlock(vfio::memlock_limit(), config.memory.size);
    }
    for (const vfio::DeviceConfig& device : config.devices) {
        auto passed = std::make_unique<vfio::PassedDevice>(host_.open(device));
        devices_.push_back({.device = std::move(passed), .place = device.place});
    }
}

PassedDevices::PassedDevices(const PassedParts& parts, const PassedWiring& wiring) {
    for (const auto& [device, place] : parts.devices()) {
        const char* const name = device->device().name().c_str();
        PciTree::Slot& on_bus = wiring.pci.add(place);
        Slot slot;
        std::vector<MsiVector*> vectors;
        for (std::size_t i = 0; i < device->vectors(); ++i) {
            slot.vectors.push_back(std::make_unique<PassedMsiIrqfd>(name, wiring.chip, wiring.log));
            vectors.push_back(slot.vectors.back().get());
        }
        std::optional<vfio::SignalledPin> pin;
        if (device->has_pin()) {
            slot.pin = std::make_unique<PassedPinIrqfd>(name, wiring.chip, on_bus.gsi());
            pin = slot.pin->signals();
        }
        slot.function = std::make_unique<vfio::VfioPciFunction>(
            *device, vfio::FunctionWiring{.bars = wiring.bars,
                                          .type = on_bus.type(),
                                          .vectors = vectors,
                                          .pin = pin,
                                          .log = wiring.log});
        on_bus.plug(*slot.function);
        slots_.push_back(std::move(slot));
    }
}

void PassedDevices::end_resets() noexcept {
    for (const Slot& slot : slots_) {
        slot.function->end_resets();
    }
}

void PassedDevices::stop() noexcept {
    for (const Slot& slot : slots_) {
        slot.function->stop();
    }
}

}  // namespace cxlvm
