// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/initrd.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "vmm/layout.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::uint64_t kPageSize = 4096;
constexpr std::uint64_t kPadding = 4;

/// The highest place for `size` bytes in [first, last].
std::optional<Gpa> highest_in(Gpa first, Gpa last, std::uint64_t size) noexcept {
    if (last < first || size - 1 > last.value() - first.value()) {
        return std::nullopt;
    }
    const Gpa base(io::align_down(last.value() - (size - 1), kPageSize));
    return base >= first ? std::optional(base) : std::nullopt;
}

std::optional<Gpa> highest_below(std::span<const GuestMemory::Block> ram, GpaRange kernel, Gpa last,
                                 std::uint64_t size) noexcept {
    std::optional<Gpa> best;
    const auto consider = [&](Gpa first, Gpa end) {
        const auto base = highest_in(first, end, size);
        if (base && (!best || *base > *best)) {
            best = base;
        }
    };
    for (const GuestMemory::Block& block : ram) {
        const Gpa first = std::max(block.range.base(), layout::kHighMemory);
        const Gpa end = std::min(block.range.last(), last);
        if (end < first) {
            continue;
        }
        if (end < kernel.base() || kernel.last() < first) {
            consider(first, end);
            continue;
        }
        if (kernel.last() < end) {
            consider(Gpa(kernel.last().value() + 1), end);
        }
        if (first < kernel.base()) {
            consider(first, Gpa(kernel.base().value() - 1));
        }
    }
    return best;
}

}  // namespace

std::optional<Gpa> place_initrd(std::span<const GuestMemory::Block> ram, const InitrdLimits& limits,
                                std::uint64_t size) noexcept {
    if (size == 0 || ram.empty()) {
        return std::nullopt;
    }
    const auto low = highest_below(ram, limits.kernel, limits.last, size);
    if (low || !limits.above_4g) {
        return low;
    }
    return highest_below(ram, limits.kernel, ram.back().range.last(), size);
}

Initrds::Initrds(const std::vector<std::string>& paths) {
    files_.reserve(paths.size());
    for (const std::string& path : paths) {
        const Image& file = files_.emplace_back(Image::open(path, "--initrd"));
        const auto sum = io::checked_add(io::align_up(size_, kPadding), file.size());
        if (!sum) {
            io::throw_input(path + ": the initrds together are larger than any memory");
        }
        size_ = *sum;
    }
}

std::optional<GpaRange> Initrds::load(GuestMemory& memory, const InitrdLimits& limits) const {
    if (files_.empty()) {
        return std::nullopt;
    }
    const auto base = place_initrd(memory.blocks(), limits, size_);
    if (!base) {
        const std::string others =
            files_.size() == 1 ? "" : fmt::format(" and {} more", files_.size() - 1);
        io::throw_input(fmt::format(
            "{}{}: {} of initrd do not fit into {} of memory beside the kernel at {} (the kernel "
            "takes initrds up to {}{}); give the guest more with --memory, or a smaller initrd",
            files_.front().name(), others, host::format_size(size_),
            host::format_size(memory.size()), limits.kernel, limits.last,
            limits.above_4g ? ", or above 4 GiB" : ""));
    }
    // The padding is zero as fresh RAM is.
    std::uint64_t position = 0;
    for (const Image& file : files_) {
        position = io::align_up(position, kPadding);
        file.load(memory, Gpa(base->value() + position), 0, file.size());
        position += file.size();
    }
    return GpaRange::of(*base, size_);
}

}  // namespace cxlvm::boot
