// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "vmm/layout.hpp"

namespace cxlvm {

namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;
/// Less is of no use to anybody.
constexpr std::uint64_t kLeastWindow = kGiB;
/// Physical addresses are 32 bits wide at least, and the leaf cannot mean more than 64.
constexpr unsigned kLeastBits = 32;
constexpr unsigned kWidestBits = 64;
/// Linux with four-level paging keeps memory (a CXL device's too) in 46 bits.
constexpr unsigned kMostBits = 46;
/// AMD's IOMMUs translate nothing in the 12 GiB below 1 TiB (HyperTransport's reserved range), so
/// no BAR that another device is to reach may lie there.
constexpr std::uint64_t kReservedBase = 0xfd'0000'0000;
constexpr std::uint64_t kReservedEnd = 0x100'0000'0000;

GpaRange range(std::uint64_t base, std::uint64_t end) {
    const auto result = GpaRange::between(Gpa(base), Gpa(end - 1));
    io::check(result.has_value(), "placement: an empty window");
    return *result;
}

/// The size of the largest shares: of `count` that lie one after another at multiples of their
/// size. 0 when there are none of at least `least` bytes.
std::uint64_t share_size(GpaRange window, std::size_t count, std::uint64_t least) {
    for (std::uint64_t size = std::bit_floor(window.size() / count); size >= least; size /= 2) {
        const std::uint64_t start = io::align_up(window.base().value(), size);
        if (start <= window.last().value() && (window.last().value() - start + 1) / size >= count) {
            return size;
        }
    }
    return 0;
}

/// The share of that size with this index; the first one begins and the last one ends with the
/// window.
GpaRange share_of(GpaRange window, std::uint64_t size, std::size_t index, std::size_t count) {
    const std::uint64_t start = io::align_up(window.base().value(), size) + index * size;
    return range(index == 0 ? window.base().value() : start,
                 index == count - 1 ? window.last().value() + 1 : start + size);
}

}  // namespace

Placement place(Gpa last_ram, unsigned address_bits) {
    if (address_bits < kLeastBits || address_bits > kWidestBits) {
        io::throw_error(0,
                        fmt::format("KVM: CPUID leaf 0x80000008 gives guests {} bits of physical "
                                    "address, and {} to {} are possible; check how this host's "
                                    "own hypervisor sets that leaf",
                                    address_bits, kLeastBits, kWidestBits));
    }
    std::uint64_t end = 1ULL << std::min(address_bits, kMostBits);
    const std::uint64_t ram_end =
        std::max(io::align_up(last_ram.value(), kGiB), layout::kHighRam.value());
    std::uint64_t base = std::max(end / 2, ram_end);
    if (base < kReservedEnd && end > kReservedBase) {
        // Only one side of the reserved range can hold the window: the larger one does.
        const std::uint64_t below = base < kReservedBase ? kReservedBase - base : 0;
        const std::uint64_t above = end - std::min(end, kReservedEnd);
        if (below >= above) {
            end = kReservedBase;
        } else {
            base = kReservedEnd;
        }
    }
    if (base >= end || end - base < kLeastWindow) {
        io::throw_input(
            fmt::format("--memory: RAM up to {:#x} leaves no room for devices in the "
                        "guest's {} bits of physical address; give it less",
                        last_ram.value(), address_bits));
    }
    return {.mmio32 = range(layout::kMmio32.value(), layout::kMmio32.value() + layout::kMmio32Size),
            .mmio64 = range(base, end)};
}

std::vector<Placement> share(const Placement& windows, std::size_t count) {
    const std::uint64_t size32 = share_size(windows.mmio32, count, 1);
    const std::uint64_t size64 = share_size(windows.mmio64, count, kLeastWindow);
    if (size32 == 0 || size64 == 0) {
        io::throw_input(
            fmt::format("--host-bridge: {} bytes of the guest's physical address space are left "
                        "for devices, too few for {} host bridges; give fewer, or less --memory",
                        windows.mmio64.size(), count));
    }
    std::vector<Placement> shares;
    for (std::size_t i = 0; i < count; ++i) {
        shares.push_back({.mmio32 = share_of(windows.mmio32, size32, i, count),
                          .mmio64 = share_of(windows.mmio64, size64, i, count)});
    }
    return shares;
}

}  // namespace cxlvm
