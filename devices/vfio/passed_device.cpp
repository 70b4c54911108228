// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/passed_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "devices/pci/spec.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

constexpr std::uint64_t kLargestMemory32 = std::uint64_t{1} << 31;

[[nodiscard]] ConfigPlan read_plan(const VfioDevice& device) {
    const RegionInfo& region = device.region(VfioDevice::kConfigRegion);
    std::array<std::byte, pci::kConfigSpaceSize> bytes{};
    const std::size_t size =
        region.size >= pci::kConfigSpaceSize ? pci::kConfigSpaceSize : pci::kLegacyConfigSize;
    const auto config = std::span(bytes).first(size);
    // The kernel reads no more than a dword of registers at once.
    for (std::size_t at = 0; at < size; at += 4) {
        if (!device.read(region, at, config.subspan(at, 4))) {
            io::throw_error(EIO, fmt::format("--device: {}: read its configuration space at {:#x}",
                                             device.name(), at));
        }
    }
    return plan_config(config, device.name());
}

}  // namespace

PassedDevice::PassedDevice(VfioDevice device)
    : device_(std::move(device)), plan_(read_plan(device_)) {
    // The real table is there all the same, and not for the guest.
    const auto structures = plan_.msix;
    if (device_.irqs(VfioDevice::Irqs::Msix).count == 0) {
        plan_.msix.reset();
    }
    if (device_.irqs(VfioDevice::Irqs::Msi).count == 0) {
        plan_.msi.reset();
    }
    plan_bars(structures);
}

void PassedDevice::nonsense(const std::string& what) const {
    io::throw_error(
        0, fmt::format("--device: {}: {}; it cannot be passed as it is", device_.name(), what));
}

std::size_t PassedDevice::vectors() const noexcept {
    return std::max<std::size_t>(plan_.msix ? plan_.msix->vectors : 0,
                                 plan_.msi ? plan_.msi->vectors : 0);
}

bool PassedDevice::has_pin() const noexcept {
    const IrqInfo& intx = device_.irqs(VfioDevice::Irqs::Intx);
    return plan_.identity.interrupt_pin != 0 && intx.count != 0 && intx.automasked;
}

void PassedDevice::plan_bars(const std::optional<ConfigPlan::MsixPart>& structures) {
    for (std::size_t i = 0; i < pci::kBarCount; ++i) {
        const RegionInfo& region = device_.region(static_cast<std::uint32_t>(i));
        const Register<std::uint32_t> flags{plan_.bars[i]};
        if (region.size == 0 || flags.get(pci::kBarIo)) {
            continue;
        }
        const bool wide = flags.get(pci::kBarType) == pci::kBarType64;
        if (!io::is_power_of_two(region.size) || region.size < pci::kBarMinimumSize ||
            (!wide && region.size > kLargestMemory32) || (wide && i + 1 == pci::kBarCount)) {
            nonsense(fmt::format("BAR {} has {:#x} bytes", i, region.size));
        }
        BarPlan bar{.index = static_cast<std::uint8_t>(i),
                    .kind = wide ? pci::BarKind::Memory64 : pci::BarKind::Memory32,
                    .size = region.size,
                    .prefetchable = flags.get(pci::kBarPrefetchable)};
        std::optional<RegionArea> table;
        std::optional<RegionArea> pending;
        if (structures && structures->place.table_bar == i) {
            table = {.offset = structures->place.table_offset,
                     .size = pci::Msix::table_size(structures->vectors)};
        }
        if (structures && structures->place.pba_bar == i) {
            pending = {.offset = structures->place.pba_offset,
                       .size = pci::Msix::pba_size(structures->vectors)};
        }
        auto cuts = cut_bar(region.size, region.mappable, table, pending);
        if (!cuts) {
            nonsense(fmt::format("its MSI-X table and pending bits are not within BAR {}", i));
        }
        bar.cuts = std::move(*cuts);
        for (BarCut& cut : bar.cuts) {
            if (!plan_.msix &&
                (cut.kind == BarCut::Kind::Table || cut.kind == BarCut::Kind::Pending)) {
                cut.kind = BarCut::Kind::Absent;
            }
        }
        bars_.push_back(std::move(bar));
        i += wide ? 1 : 0;
    }
    const auto has_bar = [&](std::uint8_t index) {
        return std::ranges::any_of(bars_, [&](const BarPlan& bar) { return bar.index == index; });
    };
    if (plan_.msix &&
        (!has_bar(plan_.msix->place.table_bar) || !has_bar(plan_.msix->place.pba_bar))) {
        nonsense("its MSI-X table is in no memory BAR");
    }
}

}  // namespace cxlvm::vfio
