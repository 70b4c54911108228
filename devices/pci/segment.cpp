// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/segment.hpp"

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm::pci {

void Segment::add(PciBus& root, std::uint8_t last_bus) {
    const std::uint8_t first = root.number();
    io::check(first <= last_bus && std::ranges::none_of(roots_,
                                                        [&](const Root& other) {
                                                            return first <= other.last &&
                                                                   other.first <= last_bus;
                                                        }),
              "Segment: a bus number belongs to two host bridges, or the range is empty");
    roots_.push_back({.bus = &root, .first = first, .last = last_bus});
}

PciFunction* Segment::find(Bdf address) const noexcept {
    for (const Root& root : roots_) {
        if (root.first <= address.bus && address.bus <= root.last) {
            return root.bus->find(address);
        }
    }
    return nullptr;
}

IoStatus Segment::read(Bdf address, std::uint16_t offset, std::span<std::byte> data) noexcept {
    if (PciFunction* function = find(address)) {
        return function->read(offset, data);
    }
    std::ranges::fill(data, std::byte{0xff});
    return IoStatus::Ok;
}

IoStatus Segment::write(Bdf address, std::uint16_t offset,
                        std::span<const std::byte> data) noexcept {
    PciFunction* function = find(address);
    return function != nullptr ? function->write(offset, data) : IoStatus::Ok;
}

}  // namespace cxlvm::pci
