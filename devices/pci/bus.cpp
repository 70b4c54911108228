// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bus.hpp"

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm::pci {

namespace {

[[nodiscard]] constexpr std::size_t slot(Bdf address) noexcept {
    return std::size_t{address.device} * kFunctionsPerDevice + address.function;
}

[[nodiscard]] constexpr bool is_valid(Bdf address) noexcept {
    return address.device < kDevicesPerBus && address.function < kFunctionsPerDevice;
}

}  // namespace

void PciBus::attach(Bdf address, PciFunction& function) noexcept {
    io::check(is_valid(address) && address.bus == number_, "PciBus: no such place on this bus");
    io::check(functions_[slot(address)] == nullptr, "PciBus: the place is taken");
    functions_[slot(address)] = &function;
}

PciFunction* PciBus::find(Bdf address) const noexcept {
    return is_valid(address) && address.bus == number_ ? functions_[slot(address)] : nullptr;
}

IoStatus PciBus::read(Bdf address, std::uint16_t offset, std::span<std::byte> data) noexcept {
    if (PciFunction* function = find(address)) {
        return function->read(offset, data);
    }
    std::ranges::fill(data, std::byte{0xff});
    return IoStatus::Ok;
}

IoStatus PciBus::write(Bdf address, std::uint16_t offset,
                       std::span<const std::byte> data) noexcept {
    PciFunction* function = find(address);
    return function != nullptr ? function->write(offset, data) : IoStatus::Ok;
}

}  // namespace cxlvm::pci
