// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/interrupt_pin.hpp"

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::pci {

InterruptPin::InterruptPin(PciFunction& function, IrqLine& line)
    : function_(function), line_(line) {
    const auto pin = function.with_config([](const ConfigSpace& config) {
        return config.registers().get8(io::to_underlying(ConfigOffset::InterruptPin));
    });
    io::check(pin != 0, "InterruptPin: the function's identity has none");
    function.add_part(*this);
}

void InterruptPin::set(bool pending) noexcept {
    function_.with_config([&](ConfigSpace& config) {
        constexpr auto kStatus = io::to_underlying(ConfigOffset::Status);
        const Register<std::uint16_t> status{config.registers().get16(kStatus)};
        config.registers().set16(kStatus, status.with(kStatusInterrupt, pending).raw);
    });
    settle();
}

void InterruptPin::config_written() noexcept {
    settle();
}

void InterruptPin::config_reset() noexcept {
    settle();
}

void InterruptPin::settle() noexcept {
    const io::MutexLock lock(mutex_);
    const bool level =
        function_.with_config([](const ConfigSpace& config) { return config.asserts_pin(); });
    if (level != level_) {
        level_ = level;
        line_.set(level);
    }
}

}  // namespace cxlvm::pci
