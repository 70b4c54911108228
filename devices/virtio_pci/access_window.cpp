// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio_pci/access_window.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "devices/pci/spec.hpp"
#include "devices/virtio/spec.hpp"
#include "io/bits.hpp"

namespace cxlvm::virtio {

namespace {

constexpr std::size_t kDataSize = 4;  ///< pci_cfg_data

std::uint16_t add_capability(pci::PciFunction& function) {
    const auto type = io::to_underlying(PciCapability::PciAccess);
    const std::array body{
        RegisterSpec{.offset = kPciCapLength, .width = 1, .reset = kPciCapAccessSize},
        RegisterSpec{.offset = kPciCapType, .width = 1, .reset = type},
        RegisterSpec{.offset = kPciCapBar, .width = 1, .writable = 0xff},
        RegisterSpec{.offset = kPciCapOffset, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = kPciCapRegionLength, .width = 4, .writable = 0xffff'ffff},
        RegisterSpec{.offset = kPciCapAccessData, .width = 4, .writable = 0xffff'ffff},
    };
    return function.with_config([&body](pci::ConfigSpace& config) {
        return config.add_capability(pci::kCapabilityVendor, kPciCapAccessSize, body);
    });
}

}  // namespace

AccessWindow::AccessWindow(pci::PciFunction& function, std::vector<Target> targets)
    : offset_(add_capability(function)), function_(function), targets_(std::move(targets)) {}

bool AccessWindow::touches_data(std::uint64_t offset, std::size_t size) const noexcept {
    const std::uint64_t data = std::uint64_t{offset_} + kPciCapAccessData;
    return offset < data + kDataSize && offset + size > data;
}

auto AccessWindow::selected(const RegisterFile& registers) const noexcept -> std::optional<Access> {
    const std::uint64_t offset = registers.get32(offset_ + kPciCapOffset);
    const std::uint32_t size = registers.get32(offset_ + kPciCapRegionLength);
    const bool is_size = size == 1 || size == 2 || size == 4;
    const auto target = std::ranges::find(targets_, registers.get8(offset_ + kPciCapBar),
                                          [](const Target& each) { return each.bar; });
    if (target == targets_.end() || !is_size || !io::is_aligned(offset, size) ||
        offset + size > target->size) {
        return std::nullopt;
    }
    return Access{.handler = &target->handler, .offset = offset, .size = size};
}

void AccessWindow::config_reading(std::uint64_t offset, std::size_t size) noexcept {
    if (!touches_data(offset, size)) {
        return;
    }
    const auto access = function_.with_config(
        [this](const pci::ConfigSpace& config) { return selected(config.registers()); });
    std::array<std::byte, kDataSize> bytes;
    bytes.fill(std::byte{0xff});
    if (access) {
        std::array<std::byte, kDataSize> read{};
        const auto part = std::span(read).first(access->size);
        if (access->handler->read(access->offset, part) == IoStatus::Ok) {
            std::memcpy(bytes.data(), part.data(), part.size());
        }
    }
    std::uint32_t data = 0;
    std::memcpy(&data, bytes.data(), sizeof(data));
    function_.with_config([this, data](pci::ConfigSpace& config) {
        config.registers().set32(offset_ + kPciCapAccessData, data);
    });
}

void AccessWindow::config_written(std::uint64_t offset, std::size_t size) noexcept {
    if (!touches_data(offset, size)) {
        return;
    }
    struct Write {
        std::optional<Access> access;
        std::uint32_t data = 0;
    };
    const auto write = function_.with_config([this](const pci::ConfigSpace& config) {
        return Write{.access = selected(config.registers()),
                     .data = config.registers().get32(offset_ + kPciCapAccessData)};
    });
    if (write.access) {
        std::array<std::byte, kDataSize> bytes{};
        std::memcpy(bytes.data(), &write.data, sizeof(write.data));
        static_cast<void>(write.access->handler->write(write.access->offset,
                                                       std::span(bytes).first(write.access->size)));
    }
}

}  // namespace cxlvm::virtio
