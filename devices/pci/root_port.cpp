// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/root_port.hpp"

#include <array>

#include "devices/pci/capabilities.hpp"
#include "io/bits.hpp"

namespace cxlvm::pci {

namespace {

/// A window of addresses, in units of 1 MiB (7.5.1.3.8); nothing when base is above limit.
[[nodiscard]] std::optional<GpaRange> window(std::uint64_t base, std::uint64_t limit) noexcept {
    constexpr std::uint64_t kWithin = (std::uint64_t{1} << 20) - 1;
    return GpaRange::between(Gpa(base), Gpa(limit | kWithin));
}

/// Bits 31:20 of an address, as the register at `offset` has them.
[[nodiscard]] std::uint64_t low_part(const RegisterFile& registers, BridgeOffset offset) noexcept {
    const Register<std::uint16_t> part{registers.get16(io::to_underlying(offset))};
    return std::uint64_t{part.get(kWindowAddress)} << 20;
}

/// Bits 63:32.
[[nodiscard]] std::uint64_t high_part(const RegisterFile& registers, BridgeOffset offset) noexcept {
    return std::uint64_t{registers.get32(io::to_underlying(offset))} << 32;
}

[[nodiscard]] std::optional<GpaRange> memory_window(const RegisterFile& registers) noexcept {
    return window(low_part(registers, BridgeOffset::MemoryBase),
                  low_part(registers, BridgeOffset::MemoryLimit));
}

[[nodiscard]] std::optional<GpaRange> prefetchable_window(const RegisterFile& registers) noexcept {
    return window(high_part(registers, BridgeOffset::PrefetchableBaseUpper) |
                      low_part(registers, BridgeOffset::PrefetchableBase),
                  high_part(registers, BridgeOffset::PrefetchableLimitUpper) |
                      low_part(registers, BridgeOffset::PrefetchableLimit));
}

/// Returns where the PCI Express capability lies.
[[nodiscard]] std::uint16_t add_capabilities(PciFunction& port, std::uint8_t number) {
    const std::uint16_t express = add_express(port, PortType::RootPort, number);
    add_power_management(port);
    return express;
}

}  // namespace

RootPort::RootPort(std::uint8_t number, MsiVector& vector)
    : PciFunction("pci-root-port", kRootPortIdentity, HeaderType::Bridge),
      express_(add_capabilities(*this, number)),
      msi_(*this, std::array{&vector}) {}

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

RootPort::Passage RootPort::passage() noexcept {
    const bool open = route_.load(std::memory_order_acquire).open;
    return with_config([&](const ConfigSpace& config) {
        return Passage{.memory = memory_window(config.registers()),
                       .prefetchable = prefetchable_window(config.registers()),
                       .down = open && config.decodes_memory(),
                       .up = open && config.masters_bus()};
    });
}

bool RootPort::passes_down(GpaRange range) noexcept {
    const Passage now = passage();
    const bool inside = (now.memory && now.memory->contains(range)) ||
                        (now.prefetchable && now.prefetchable->contains(range));
    return now.down && inside && is_reached_at(range);
}

bool RootPort::passes_up() noexcept {
    return passage().up && reaches_memory();
}

void RootPort::upstream_changed() noexcept {
    PciFunction::upstream_changed();
    secondary_.upstream_changed();
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
    if (const Passage now = passage(); now != told_) {
        told_ = now;
        secondary_.upstream_changed();
    }
    // Once nothing reaches them any more. A guest that ends a reset on one vCPU while another one
    // still begins it has not held it for as long as the standard asks (6.6.1).
    if (outcome.held && !held_) {
        secondary_.reset();
    }
    held_ = outcome.held;
}

}  // namespace cxlvm::pci
