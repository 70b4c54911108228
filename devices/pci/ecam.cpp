// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/ecam.hpp"

namespace cxlvm::pci {

namespace {

using EcamAddress = Register<std::uint64_t>;

[[nodiscard]] constexpr Bdf function_of(EcamAddress address) noexcept {
    return {.bus = address.get(kEcamBus),
            .device = address.get(kEcamDevice),
            .function = address.get(kEcamFunction)};
}

}  // namespace

IoStatus Ecam::check(std::uint64_t offset, std::size_t size) noexcept {
    // Before routing, so that it does not depend on what is there.
    const IoStatus status = check_access(offset, size);
    if (status != IoStatus::Ok) {
        log_.guest(oddities_, "pci: configuration access of {} bytes at {:#x} crosses a dword",
                   size, offset);
    }
    return status;
}

IoStatus Ecam::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = check(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    const EcamAddress address{offset};
    return segment_.read(function_of(address), address.get(kEcamRegister), data);
}

IoStatus Ecam::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = check(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    const EcamAddress address{offset};
    return segment_.write(function_of(address), address.get(kEcamRegister), data);
}

}  // namespace cxlvm::pci
