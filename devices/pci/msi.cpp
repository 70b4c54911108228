// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msi.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::pci {

namespace {

constexpr auto kControlWritable = mask_of<std::uint16_t>(kMsiEnable, kMsiMultipleEnable);
constexpr auto kAddressWritable = mask_of<std::uint32_t>(kMessageAddress);

[[nodiscard]] constexpr std::uint16_t at(MsiOffset offset) noexcept {
    return io::to_underlying(offset);
}

[[nodiscard]] auto registers_for(std::size_t vectors) noexcept {
    const auto control =
        Register<std::uint16_t>{}
            .with(kMsiMultipleCapable, static_cast<std::uint8_t>(std::countr_zero(vectors)))
            .with(kMsi64Bit, true)
            .with(kMsiPerVectorMasking, true);
    const std::uint64_t masks = (std::uint64_t{1} << vectors) - 1;
    return std::array{
        RegisterSpec{.offset = at(MsiOffset::Control),
                     .width = 2,
                     .reset = control.raw,
                     .writable = kControlWritable},
        RegisterSpec{.offset = at(MsiOffset::Address), .width = 4, .writable = kAddressWritable},
        RegisterSpec{.offset = at(MsiOffset::AddressHigh), .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = at(MsiOffset::Data), .width = 2, .writable = 0xffff},
        RegisterSpec{.offset = at(MsiOffset::Mask), .width = 4, .writable = masks},
        RegisterSpec{.offset = at(MsiOffset::Pending), .width = 4},
    };
}

}  // namespace

Msi::Msi(PciFunction& function, std::span<MsiVector* const> vectors)
    : function_(function), delivery_(*this, vectors) {
    io::check(io::is_power_of_two(vectors.size()) && vectors.size() <= kMsiMaximumVectors,
              "Msi: the number of vectors is no power of two up to 32");
    offset_ = function.with_config([&](ConfigSpace& config) {
        return config.add_capability(kCapabilityMsi, kMsiSize, registers_for(vectors.size()));
    });
    function.add_part(*this);
}

unsigned Msi::allocated(const RegisterFile& registers) const noexcept {
    const Register<std::uint16_t> control{registers.get16(offset_ + at(MsiOffset::Control))};
    if (!control.get(kMsiEnable)) {
        return 0;
    }
    // A guest may write more than was asked for; there are no more than there are.
    return std::min(1U << control.get(kMsiMultipleEnable),
                    static_cast<unsigned>(delivery_.count()));
}

std::optional<MsiMessage> Msi::message(unsigned vector) noexcept {
    // Whoever changes that in between settles the vector afterwards.
    const bool passes = function_.reaches_memory();
    return function_.with_config([&](const ConfigSpace& config) -> std::optional<MsiMessage> {
        const RegisterFile& registers = config.registers();
        const unsigned count = allocated(registers);
        const bool masked = (registers.get32(offset_ + at(MsiOffset::Mask)) >> vector & 1U) != 0;
        if (vector >= count || masked || !passes || !config.masters_bus()) {
            return std::nullopt;
        }
        // The low bits of the data tell the vectors apart (7.7.1.5).
        const std::uint32_t data = registers.get16(offset_ + at(MsiOffset::Data));
        return MsiMessage{.address = registers.get64(offset_ + at(MsiOffset::Address)),
                          .data = (data & ~(count - 1U)) | vector};
    });
}

void Msi::set_pending(unsigned vector) noexcept {
    function_.with_config([&](ConfigSpace& config) {
        const std::size_t pending = offset_ + at(MsiOffset::Pending);
        config.registers().set32(pending, config.registers().get32(pending) | 1U << vector);
    });
}

bool Msi::take_pending(unsigned vector) noexcept {
    return function_.with_config([&](ConfigSpace& config) {
        const std::size_t at_pending = offset_ + at(MsiOffset::Pending);
        const std::uint32_t pending = config.registers().get32(at_pending);
        config.registers().set32(at_pending, pending & ~(1U << vector));
        return (pending >> vector & 1U) != 0;
    });
}

bool Msi::raise(unsigned vector) noexcept {
    const unsigned count = function_.with_config(
        [&](const ConfigSpace& config) { return allocated(config.registers()); });
    if (count == 0) {
        return false;
    }
    delivery_.raise(vector & (count - 1));
    return true;
}

}  // namespace cxlvm::pci
