// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/vfio_device.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "devices/vfio/info_chain.hpp"
#include "devices/vfio/uapi.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

/// More than that no region needs to describe itself.
constexpr std::uint32_t kLargestInfo = 1U << 16;
constexpr std::uint32_t kMostIrqSets = 16;
/// The largest page that a host maps.
constexpr std::uint64_t kLargestPage = std::uint64_t{1} << 30;
/// Offsets of a file are signed.
constexpr auto kFileEnd = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

constexpr IrqInfo kNoIrqs{};

[[nodiscard]] bool inside(const RegionInfo& region, std::uint64_t offset,
                          std::uint64_t size) noexcept {
    return offset <= region.size && size <= region.size - offset;
}

/// The areas of a sparse-mmap capability; nothing when they are not there, leave the region or
/// overlap.
[[nodiscard]] std::optional<std::vector<RegionArea>> areas_of(const InfoCapability& capability,
                                                              const RegionInfo& region) {
    abi::SparseMmap head{};
    if (capability.bytes.size() < sizeof(head)) {
        return std::nullopt;
    }
    std::memcpy(&head, capability.bytes.data(), sizeof(head));
    const auto rest = capability.bytes.subspan(sizeof(head));
    if (head.nr_areas > rest.size() / sizeof(vfio_region_sparse_mmap_area)) {
        return std::nullopt;
    }
    std::vector<RegionArea> areas;
    for (std::uint32_t i = 0; i < head.nr_areas; ++i) {
        vfio_region_sparse_mmap_area area{};
        std::memcpy(&area, rest.data() + i * sizeof(area), sizeof(area));
        if (!inside(region, area.offset, area.size) ||
            !io::is_aligned<std::uint64_t>(area.offset | area.size, io::page_size())) {
            return std::nullopt;
        }
        if (area.size != 0) {
            areas.push_back({.offset = area.offset, .size = area.size});
        }
    }
    std::ranges::sort(areas, {}, &RegionArea::offset);
    const auto overlap = std::ranges::adjacent_find(
        areas, [](const auto& a, const auto& b) { return b.offset - a.offset < a.size; });
    return overlap == areas.end() ? std::optional(std::move(areas)) : std::nullopt;
}

}  // namespace

VfioDevice::VfioDevice(Kernel& kernel, io::Fd device, std::string name)
    : kernel_(kernel), name_(std::move(name)), fd_(std::move(device)) {
    vfio_device_info info{};
    info.argsz = sizeof(info);
    if (const int result = kernel_.call(fd_, VFIO_DEVICE_GET_INFO, info); result < 0) {
        fail(-result, "VFIO_DEVICE_GET_INFO");
    }
    if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0) {
        io::throw_input(
            fmt::format("--device: {}: VFIO has it, but not as a PCI device; "
                        "only PCI devices can be passed",
                        name_));
    }
    resettable_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
    describe_regions(info.num_regions);
    describe_irqs(info.num_irqs);
}

void VfioDevice::fail(int error, const std::string& what) const {
    io::throw_error(error, fmt::format("--device: {}: {}", name_, what));
}

void VfioDevice::nonsense(const std::string& what) const {
    io::throw_error(
        0, fmt::format("--device: {}: the host's driver contradicts itself: {}; update the host's "
                       "kernel",
                       name_, what));
}

void VfioDevice::describe_regions(std::uint32_t count) {
    if (count <= kConfigRegion || count > kMostRegions) {
        nonsense(fmt::format("it says that there are {} regions", count));
    }
    for (std::uint32_t index = 0; index < count; ++index) {
        regions_.push_back(describe_region(index));
    }
}

RegionInfo VfioDevice::describe_region(std::uint32_t index) const {
    std::vector<std::uint64_t> storage(sizeof(vfio_region_info) / sizeof(std::uint64_t));
    vfio_region_info info{};
    // Once to learn the size of its capabilities, and once more with room for them.
    for (int attempt = 0;; ++attempt) {
        info = {};
        info.argsz = static_cast<std::uint32_t>(storage.size() * sizeof(std::uint64_t));
        info.index = index;
        std::memcpy(storage.data(), &info, sizeof(info));
        const int result = kernel_.ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO,
                                         reinterpret_cast<std::uintptr_t>(storage.data()));
        // A region that the device lacks: VGA, say.
        if (result == -EINVAL) {
            return {.index = index};
        }
        if (result < 0) {
            fail(-result, fmt::format("VFIO_DEVICE_GET_REGION_INFO {}", index));
        }
        const std::size_t given = storage.size() * sizeof(std::uint64_t);
        std::memcpy(&info, storage.data(), sizeof(info));
        if (info.argsz <= given) {
            break;
        }
        if (attempt != 0 || info.argsz > kLargestInfo) {
            nonsense(fmt::format("region {} is described by {} bytes", index, info.argsz));
        }
        storage.assign(io::align_up<std::size_t>(info.argsz, 8) / sizeof(std::uint64_t), 0);
    }

    RegionInfo region{.index = index,
                      .size = info.size,
                      .offset = info.offset,
                      .readable = (info.flags & VFIO_REGION_INFO_FLAG_READ) != 0,
                      .writable = (info.flags & VFIO_REGION_INFO_FLAG_WRITE) != 0};
    if (info.offset > kFileEnd || info.size > kFileEnd - info.offset) {
        nonsense(fmt::format("region {} has {:#x} bytes at {:#x}", index, info.size, info.offset));
    }
    const bool maps = (info.flags & VFIO_REGION_INFO_FLAG_MMAP) != 0;
    // Of a part of a page nothing can be mapped that is not somebody else's.
    if (maps && region.size >= io::page_size()) {
        region.mappable = {
            {.offset = 0, .size = io::align_down<std::uint64_t>(region.size, io::page_size())}};
    }
    if ((info.flags & VFIO_REGION_INFO_FLAG_CAPS) == 0) {
        return region;
    }
    const auto chain = info_chain(
        std::as_bytes(std::span(storage))
            .first(std::max<std::size_t>(
                std::min<std::size_t>(info.argsz, storage.size() * sizeof(std::uint64_t)),
                sizeof(info))),
        info.cap_offset, sizeof(info));
    if (!chain) {
        nonsense(fmt::format("the capabilities of region {} are no chain", index));
    }
    for (const InfoCapability& capability : *chain) {
        if (capability.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP && maps) {
            auto areas = areas_of(capability, region);
            if (!areas) {
                nonsense(fmt::format("what can be mapped of region {} is not within it", index));
            }
            region.mappable = std::move(*areas);
        } else if (capability.id == VFIO_REGION_INFO_CAP_TYPE &&
                   capability.bytes.size() >= sizeof(vfio_region_info_cap_type)) {
            vfio_region_info_cap_type type{};
            std::memcpy(&type, capability.bytes.data(), sizeof(type));
            region.type = RegionInfo::Type{.type = type.type, .subtype = type.subtype};
        }
    }
    return region;
}

void VfioDevice::describe_irqs(std::uint32_t count) {
    for (std::uint32_t index = 0; index < std::min(count, kMostIrqSets); ++index) {
        vfio_irq_info info{};
        info.argsz = sizeof(info);
        info.index = index;
        const int result = kernel_.call(fd_, VFIO_DEVICE_GET_IRQ_INFO, info);
        // A set that the device cannot have.
        if (result == -EINVAL) {
            irqs_.emplace_back();
            continue;
        }
        if (result < 0) {
            fail(-result, fmt::format("VFIO_DEVICE_GET_IRQ_INFO {}", index));
        }
        if (info.count > kMostVectors) {
            nonsense(fmt::format("it has {} interrupts of kind {}", info.count, index));
        }
        irqs_.push_back({.count = info.count,
                         .eventfd = (info.flags & VFIO_IRQ_INFO_EVENTFD) != 0,
                         .automasked = (info.flags & VFIO_IRQ_INFO_AUTOMASKED) != 0,
                         .resizable = (info.flags & VFIO_IRQ_INFO_NORESIZE) == 0});
    }
}

const RegionInfo& VfioDevice::region(std::uint32_t index) const noexcept {
    static const RegionInfo none{};
    return index < regions_.size() ? regions_[index] : none;
}

const IrqInfo& VfioDevice::irqs(Irqs which) const noexcept {
    const std::size_t index = io::to_underlying(which);
    return index < irqs_.size() ? irqs_[index] : kNoIrqs;
}

bool VfioDevice::read(const RegionInfo& region, std::uint64_t offset,
                      std::span<std::byte> data) const noexcept {
    return inside(region, offset, data.size()) &&
           kernel_.read(fd_.get(), region.offset + offset, data) == std::ssize(data);
}

int VfioDevice::write(const RegionInfo& region, std::uint64_t offset,
                      std::span<const std::byte> data) const noexcept {
    if (!inside(region, offset, data.size())) {
        return EINVAL;
    }
    const std::ptrdiff_t result = kernel_.write(fd_.get(), region.offset + offset, data);
    if (result < 0) {
        return static_cast<int>(-result);
    }
    return result == std::ssize(data) ? 0 : EIO;
}

io::Mapping VfioDevice::map(const RegionInfo& region, RegionArea area) const {
    // Pages as large as place and size allow need an address that is aligned alike.
    std::uint64_t alignment = std::min(std::bit_floor(area.size), kLargestPage);
    while (alignment > io::page_size() && !io::is_aligned(area.offset, alignment)) {
        alignment /= 2;
    }
    const int protection = (region.readable ? PROT_READ : 0) | (region.writable ? PROT_WRITE : 0);
    return kernel_.map({.size = area.size,
                        .protection = protection,
                        .flags = MAP_SHARED,
                        .fd = fd_.get(),
                        .offset = region.offset + area.offset,
                        .alignment = std::max<std::uint64_t>(alignment, io::page_size())},
                       fmt::format("--device: {}: {:#x} bytes at {:#x} of region {}", name_,
                                   area.size, area.offset, region.index));
}

int VfioDevice::enable_irqs(Irqs which, std::span<const int> eventfds,
                            unsigned* fitting) const noexcept {
    if (eventfds.empty() || eventfds.size() > kMostVectors) {
        return EINVAL;
    }
    // vfio_irq_set and the descriptors behind it.
    constexpr std::size_t kHeader = sizeof(vfio_irq_set);
    alignas(vfio_irq_set) std::array<std::byte, kHeader + kMostVectors * sizeof(std::int32_t)> set;
    vfio_irq_set header{};
    header.argsz = static_cast<std::uint32_t>(kHeader + eventfds.size_bytes());
    header.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    header.index = io::to_underlying(which);
    header.count = static_cast<std::uint32_t>(eventfds.size());
    std::memcpy(set.data(), &header, kHeader);
    std::memcpy(set.data() + kHeader, eventfds.data(), eventfds.size_bytes());
    const int result = kernel_.ioctl(fd_.get(), VFIO_DEVICE_SET_IRQS,
                                     reinterpret_cast<std::uintptr_t>(set.data()));
    // A positive answer is how many vectors the host could give, of which none was enabled.
    if (result > 0 && fitting != nullptr) {
        *fitting = static_cast<unsigned>(result);
    }
    return result > 0 ? ENOSPC : -result;
}

int VfioDevice::disable_irqs(Irqs which) const noexcept {
    vfio_irq_set set{};
    set.argsz = sizeof(set);
    set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    set.index = io::to_underlying(which);
    const int result = kernel_.call(fd_, VFIO_DEVICE_SET_IRQS, set);
    return result < 0 ? -result : 0;
}

int VfioDevice::unmask_intx_by(int eventfd) const noexcept {
    constexpr std::size_t kHeader = sizeof(vfio_irq_set);
    alignas(vfio_irq_set) std::array<std::byte, kHeader + sizeof(eventfd)> set;
    vfio_irq_set header{};
    header.argsz = set.size();
    header.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK;
    header.index = VFIO_PCI_INTX_IRQ_INDEX;
    header.count = 1;
    std::memcpy(set.data(), &header, kHeader);
    std::memcpy(set.data() + kHeader, &eventfd, sizeof(eventfd));
    const int result = kernel_.ioctl(fd_.get(), VFIO_DEVICE_SET_IRQS,
                                     reinterpret_cast<std::uintptr_t>(set.data()));
    return result < 0 ? -result : 0;
}

int VfioDevice::reset() const noexcept {
    const int result = kernel_.call(fd_, VFIO_DEVICE_RESET, 0UL);
    return result < 0 ? -result : 0;
}

}  // namespace cxlvm::vfio
