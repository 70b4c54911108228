// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/vfio_pci_function.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "devices/pci/capabilities.hpp"
#include "devices/pci/spec_bridge.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

/// Bits 28 of Device Capabilities (function level reset) and 15 of Device Control (start one), in
/// their last bytes (PCI Express 6.0, 7.5.3.3 and 7.5.3.4).
constexpr std::uint32_t kFlrCapable = io::to_underlying(pci::ExpressOffset::DeviceCapabilities) + 3;
constexpr std::uint8_t kFlrCapableBit = 1U << 4;
constexpr std::uint32_t kFlrStart = io::to_underlying(pci::ExpressOffset::DeviceControl) + 1;
constexpr std::byte kFlrStartBit{1U << 7};
/// How often a reset is tried that the kernel is too busy for.
constexpr int kResetAttempts = 10;
constexpr std::chrono::milliseconds kResetPause{10};

}  // namespace

VfioPciFunction::VfioPciFunction(const PassedDevice& device, const FunctionWiring& wiring)
    : PciFunction(device.device().name().c_str(), device.plan().identity),
      device_(device.device()),
      plan_(device.plan()),
      passed_(device),
      log_(wiring.log) {
    io::check(wiring.vectors.size() == device.vectors(),
              "a passed function was given another number of vectors than it asked for");
    for (MsiVector* const vector : wiring.vectors) {
        vectors_.push_back(std::make_unique<SharedVector>(*vector));
    }
    add_capabilities(wiring.type);
    bars_.emplace(*this, wiring.bars, make_bars());
    mirror_.emplace(*this, device_, plan_, wiring.vectors,
                    device.has_pin() ? wiring.pin : std::nullopt, log_);
    if (!device_.resettable()) {
        log_.warn(
            "{}: the host cannot reset it: it keeps its state when the guest resets it or starts "
            "anew, and what one guest left in it the next one finds",
            name());
    }
}

VfioPciFunction::~VfioPciFunction() {
    stop();
}

void VfioPciFunction::add_capabilities(pci::PortType type) {
    std::vector<MsiVector*> msi;
    std::vector<MsiVector*> msix;
    for (const auto& vector : vectors_) {
        msi.push_back(&vector->msi());
        msix.push_back(&vector->msix());
    }
    // Parts keep their order whatever that of the device's capabilities is.
    if (plan_.msi) {
        with_config(
            [&](pci::ConfigSpace& config) { config.next_capability_at(plan_.msi->offset); });
        msi_.emplace(*this, std::span(msi).first(plan_.msi->vectors));
    }
    if (plan_.msix) {
        with_config(
            [&](pci::ConfigSpace& config) { config.next_capability_at(plan_.msix->offset); });
        msix_.emplace(*this, std::span(msix).first(plan_.msix->vectors), plan_.msix->place);
    }
    if (plan_.power != 0) {
        with_config([&](pci::ConfigSpace& config) { config.next_capability_at(plan_.power); });
        pci::add_power_management(*this);
    }
    bool chain_begun = false;
    for (const FoundCapability& capability : plan_.capabilities) {
        const Treatment treatment = capability.rule->treatment;
        if (treatment != Treatment::Passed && treatment != Treatment::ReadOnly) {
            continue;
        }
        // The extended chain begins at its first dword, whatever is shown there; an id of 0 is
        // none.
        if (capability.extended() && !chain_begun &&
            capability.offset != pci::kFirstExtendedCapability) {
            with_config([](pci::ConfigSpace& config) {
                config.add_extended_capability(0, 0, pci::kExtendedCapabilityHeaderSize, {});
            });
        }
        chain_begun = chain_begun || capability.extended();
        add_capability(capability, type);
    }
}

void VfioPciFunction::add_capability(const FoundCapability& capability, pci::PortType type) {
    // What the plan has not read from the device: its place, and whether it can be reset.
    const std::array ours = {
        RegisterSpec{.offset = io::to_underlying(pci::ExpressOffset::Capabilities),
                     .width = 1,
                     .reset = Register<std::uint8_t>{}.with(pci::kExpressPortType, type).raw},
        RegisterSpec{.offset = kFlrCapable,
                     .width = 1,
                     .reset = device_.resettable() ? kFlrCapableBit : std::uint64_t{0}}};
    const auto body = capability.offset == plan_.express ? std::span<const RegisterSpec>(ours)
                                                         : std::span<const RegisterSpec>();
    with_config([&](pci::ConfigSpace& config) {
        config.next_capability_at(capability.offset);
        if (capability.extended()) {
            config.add_extended_capability(capability.id, capability.version, capability.size,
                                           body);
        } else {
            config.add_capability(static_cast<std::uint8_t>(capability.id), capability.size, body);
        }
    });
}

Region& VfioPciFunction::make_piece(const RegionInfo& region, const BarCut& cut) {
    Piece piece;
    switch (cut.kind) {
        case BarCut::Kind::Memory:
            piece.mapping = device_.map(region, cut.area);
            piece.region = std::make_unique<Region>(
                "BAR of a passed device",
                Region::Backing{.host = piece.mapping.bytes(), .read_only = !region.writable});
            break;
        case BarCut::Kind::Trapped:
            piece.window = std::make_unique<RegionWindow>(device_, region, cut.area.offset);
            piece.region = std::make_unique<Region>("registers of a passed device", cut.area.size,
                                                    *piece.window);
            break;
        case BarCut::Kind::Table:
            piece.region = std::make_unique<Region>("MSI-X table of a passed device", cut.area.size,
                                                    msix_->table());
            break;
        case BarCut::Kind::Absent:
            // A part of a region that there is not: it reads all-ones and takes nothing.
            piece.window = std::make_unique<RegionWindow>(
                device_, device_.region(VfioDevice::kMostRegions), 0);
            piece.region = std::make_unique<Region>("hidden registers of a passed device",
                                                    cut.area.size, *piece.window);
            break;
        case BarCut::Kind::Pending:
            piece.region = std::make_unique<Region>("MSI-X pending bits of a passed device",
                                                    cut.area.size, msix_->pba());
            break;
    }
    pieces_.push_back(std::move(piece));
    return *pieces_.back().region;
}

std::vector<pci::BarSpec> VfioPciFunction::make_bars() {
    std::vector<pci::BarSpec> specs;
    for (const PassedDevice::BarPlan& bar : passed_.bars()) {
        pci::BarSpec spec{.index = bar.index,
                          .kind = bar.kind,
                          .size = bar.size,
                          .prefetchable = bar.prefetchable};
        for (const BarCut& cut : bar.cuts) {
            spec.pieces.push_back({cut.area.offset, make_piece(device_.region(bar.index), cut)});
        }
        specs.push_back(std::move(spec));
    }
    return specs;
}

IoStatus VfioPciFunction::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = PciFunction::read(offset, data); status != IoStatus::Ok) {
        return status;
    }
    const auto mask = std::span(plan_.read).subspan(offset, data.size());
    if (std::ranges::none_of(mask, [](std::uint8_t bits) { return bits != 0; })) {
        return IoStatus::Ok;
    }
    std::array<std::byte, 4> own{};
    const auto live = std::span(own).first(data.size());
    if (!device_.read(device_.region(VfioDevice::kConfigRegion), offset, live)) {
        std::ranges::fill(live, std::byte{0xff});
    }
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto bits = static_cast<std::byte>(mask[i]);
        data[i] = (data[i] & ~bits) | (live[i] & bits);
    }
    return IoStatus::Ok;
}

IoStatus VfioPciFunction::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = PciFunction::write(offset, data); status != IoStatus::Ok) {
        return status;
    }
    std::array<std::byte, 4> own{};
    const auto passed = std::span(own).first(data.size());
    std::ranges::copy(data, passed.begin());
    const bool flr = take_flr(offset, passed);
    pass_write(offset, passed);
    if (flr) {
        reset();
    }
    return IoStatus::Ok;
}

bool VfioPciFunction::take_flr(std::uint64_t offset, std::span<std::byte> data) const noexcept {
    const std::uint64_t start = plan_.express + std::uint64_t{kFlrStart};
    if (plan_.express == 0 || start < offset || start >= offset + data.size()) {
        return false;
    }
    std::byte& byte = data[start - offset];
    const bool asked = (byte & kFlrStartBit) != std::byte{0};
    byte &= ~kFlrStartBit;
    return asked && device_.resettable();
}

void VfioPciFunction::pass_write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    for (std::size_t begin = 0; begin < data.size();) {
        if (plan_.written[offset + begin] == 0) {
            ++begin;
            continue;
        }
        std::size_t end = begin + 1;
        while (end < data.size() && plan_.written[offset + end] != 0) {
            ++end;
        }
        // What the kernel does not take it has its own reasons for, and a device shows nobody.
        static_cast<void>(device_.write(device_.region(VfioDevice::kConfigRegion), offset + begin,
                                        data.subspan(begin, end - begin)));
        begin = end;
    }
}

void VfioPciFunction::reset() noexcept {
    resets_.run([this]() noexcept {
        // First the registers: the guest's mappings go, and DMA stops.
        PciFunction::reset();
        if (device_.resettable()) {
            reset_device();
        }
        // The kernel has no messages of it enabled any more. What it signalled while a vector was
        // masked was of before.
        for (const auto& vector : vectors_) {
            vector->vector().forget_signals();
        }
    });
}

void VfioPciFunction::reset_device() noexcept {
    int error = EAGAIN;
    for (int attempt = 0; error == EAGAIN && attempt < kResetAttempts && !resets_.closed();
         ++attempt) {
        if (attempt != 0) {
            std::this_thread::sleep_for(kResetPause);
        }
        error = device_.reset();
    }
    if (error != 0 && !resets_.closed()) {
        log_.guest(reset_failures_, "{}: it is not reset: {}", name(), io::errno_text(error));
    }
}

}  // namespace cxlvm::vfio
