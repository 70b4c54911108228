// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/root_port.hpp"

#include "devices/pci/capabilities.hpp"
#include "io/bits.hpp"

namespace cxlvm::pci {

RootPort::RootPort(std::uint8_t number)
    : PciFunction("pci-root-port", kRootPortIdentity, HeaderType::Bridge),
      express_(add_express(*this, PortType::RootPort, number)) {
    add_power_management(*this);
}

void RootPort::attach(PciFunction& function, std::uint8_t function_number) {
    secondary_.attach({.function = function_number}, function);
    settle(Cause::Reset);
}

bool RootPort::forwards(std::uint8_t number) const noexcept {
    const Route route = route_.load(std::memory_order_acquire);
    // Bus 0 is never behind a port: that is a number that nobody has set yet.
    return route.open && route.secondary != 0 && route.secondary <= number &&
           number <= route.subordinate;
}

std::uint8_t RootPort::secondary_number() const noexcept {
    return route_.load(std::memory_order_acquire).secondary;
}

void RootPort::config_written(std::uint64_t /*offset*/, std::size_t /*size*/) noexcept {
    settle(Cause::Write);
}

void RootPort::reset() noexcept {
    PciFunction::reset();
    settle(Cause::Reset);
    secondary_.reset();
}

void RootPort::settle(Cause cause) noexcept {
    struct Outcome {
        Route route;
        bool held = false;
    };
    const bool present = !secondary_.empty();
    const io::MutexLock lock(order_);
    const auto outcome = with_config([&](ConfigSpace& config) {
        RegisterFile& registers = config.registers();
        const std::size_t link_control = express_ + io::to_underlying(ExpressOffset::LinkControl);
        const std::size_t link_status = express_ + io::to_underlying(ExpressOffset::LinkStatus);
        const std::size_t slot_status = express_ + io::to_underlying(ExpressOffset::SlotStatus);
        const Register<std::uint16_t> bridge{
            registers.get16(io::to_underlying(BridgeOffset::BridgeControl))};
        const Register<std::uint16_t> control{registers.get16(link_control)};
        const bool held = bridge.get(kBridgeSecondaryReset) || control.get(kLinkDisable);
        const bool up = present && !held;

        const Register<std::uint16_t> link{registers.get16(link_status)};
        const Register<std::uint16_t> slot{registers.get16(slot_status)};
        const bool changed = cause == Cause::Write && link.get(kLinkActive) != up;
        registers.set16(link_status, link.with(kLinkActive, up).raw);
        registers.set16(slot_status,
                        slot.with(kSlotPresence, present)
                            .with(kSlotLinkChanged, slot.get(kSlotLinkChanged) || changed)
                            .raw);
        return Outcome{
            .route = {.secondary = registers.get8(io::to_underlying(BridgeOffset::SecondaryBus)),
                      .subordinate =
                          registers.get8(io::to_underlying(BridgeOffset::SubordinateBus)),
                      .open = up && config.awake()},
            .held = held};
    });
    route_.store(outcome.route, std::memory_order_release);
    // Once nothing reaches them any more. A guest that ends a reset on one vCPU while another one
    // still begins it has not held it for as long as the standard asks (6.6.1).
    if (outcome.held && !held_) {
        secondary_.reset();
    }
    held_ = outcome.held;
}

}  // namespace cxlvm::pci
