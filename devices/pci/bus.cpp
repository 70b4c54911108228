// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bus.hpp"

#include "devices/pci/root_port.hpp"
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

std::uint8_t PciBus::number() const noexcept {
    return port_ != nullptr ? port_->secondary_number() : number_;
}

void PciBus::attach(Bdf address, PciFunction& function) {
    io::check(is_valid(address) && address.bus == number(), "PciBus: no such place on this bus");
    io::check(functions_[slot(address)] == nullptr, "PciBus: the place is taken");
    functions_[slot(address)] = &function;
    empty_ = false;
    function.set_upstream(port_);
    if (const RootPort* port = function.root_port()) {
        ports_.push_back(port);
    }
}

const PciBus* PciBus::next(std::uint8_t number) const noexcept {
    for (const RootPort* port : ports_) {
        if (port->forwards(number)) {
            return &port->secondary();
        }
    }
    return nullptr;
}

PciFunction* PciBus::find(Bdf address) const noexcept {
    if (!is_valid(address)) {
        return nullptr;
    }
    const PciBus* bus = this;
    while (bus != nullptr && bus->number() != address.bus) {
        bus = bus->next(address.bus);
    }
    return bus != nullptr ? bus->functions_[slot(address)] : nullptr;
}

void PciBus::reset() noexcept {
    for (PciFunction* function : functions_) {
        if (function != nullptr) {
            function->reset();
        }
    }
}

void PciBus::upstream_changed() noexcept {
    for (PciFunction* function : functions_) {
        if (function != nullptr) {
            function->upstream_changed();
        }
    }
}

}  // namespace cxlvm::pci
