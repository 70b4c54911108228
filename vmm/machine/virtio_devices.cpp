// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio_devices.hpp"

#include <utility>

namespace cxlvm {

VirtioDevices::VirtioDevices(const VirtioParts& parts, const VirtioWiring& wiring)
    : wiring_(wiring) {
    for (const VirtioParts::Part& part : parts.before_console()) {
        add(*part.device, part.place);
    }
    if (wiring_.console != nullptr) {
        add_console(wiring_.console_place);
    }
    for (const VirtioParts::Part& part : parts.behind_console()) {
        add(*part.device, part.place);
    }
}

VirtioDevices::~VirtioDevices() {
    for (const Slot& slot : slots_) {
        wiring_.loop.withdraw(*slot.stopped);
    }
}

void VirtioDevices::add(virtio::VirtioDevice& device, const PciPlace& place) {
    PciTree::Slot& on_bus = wiring_.pci.add(place);
    Slot slot;
    std::vector<MsiVector*> vectors;
    for (std::size_t i = 0; i < virtio::VirtioFunction::vectors_of(device); ++i) {
        slot.vectors.push_back(
            std::make_unique<MsiIrqfd>(device.name(), wiring_.chip, wiring_.log));
        vectors.push_back(slot.vectors.back().get());
    }
    slot.stopped = std::make_unique<io::Task>(
        this, [](void* self) noexcept { static_cast<VirtioDevices*>(self)->on_stopped(); });
    slot.function = std::make_unique<virtio::VirtioFunction>(
        device, virtio::FunctionWiring{.memory = wiring_.memory,
                                       .bars = wiring_.bars,
                                       .pin = on_bus.pin(),
                                       .type = on_bus.type(),
                                       .has_ports = on_bus.has_ports(),
                                       .vectors = vectors,
                                       .loop = wiring_.loop,
                                       .log = wiring_.log});
    on_bus.plug(*slot.function);
    slots_.push_back(std::move(slot));
}

void VirtioDevices::add_console(const PciPlace& place) {
    std::optional<virtio::console::ConsoleSize> size;
    if (const auto terminal = wiring_.console->terminal_size()) {
        size = {.columns = terminal->columns, .rows = terminal->rows};
    }
    console_ =
        std::make_unique<virtio::console::ConsoleDevice>(*wiring_.console, size, wiring_.loop);
    wiring_.console->attach(*console_);
    add(*console_, place);
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
