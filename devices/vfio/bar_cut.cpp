// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/bar_cut.hpp"

#include <algorithm>
#include <utility>

#include "io/bits.hpp"
#include "io/mapping.hpp"

namespace cxlvm::vfio {

namespace {

/// `areas` less the pages that `hole` touches.
[[nodiscard]] std::vector<RegionArea> without(std::span<const RegionArea> areas, RegionArea hole) {
    const std::uint64_t begin = io::align_down<std::uint64_t>(hole.offset, io::page_size());
    const std::uint64_t end = io::align_up<std::uint64_t>(hole.offset + hole.size, io::page_size());
    std::vector<RegionArea> rest;
    for (const RegionArea& area : areas) {
        const std::uint64_t area_end = area.offset + area.size;
        if (area.offset < begin) {
            rest.push_back(
                {.offset = area.offset, .size = std::min(begin, area_end) - area.offset});
        }
        if (area_end > end) {
            const std::uint64_t from = std::max(end, area.offset);
            rest.push_back({.offset = from, .size = area_end - from});
        }
    }
    return rest;
}

}  // namespace

std::optional<std::vector<BarCut>> cut_bar(std::uint64_t size, std::span<const RegionArea> mappable,
                                           std::optional<RegionArea> table,
                                           std::optional<RegionArea> pending) {
    std::vector<BarCut> cuts;
    std::vector<RegionArea> memory(mappable.begin(), mappable.end());
    for (const auto& [kind, area] :
         {std::pair{BarCut::Kind::Table, table}, std::pair{BarCut::Kind::Pending, pending}}) {
        if (area) {
            if (area->offset > size || area->size > size - area->offset) {
                return std::nullopt;
            }
            memory = without(memory, *area);
            cuts.push_back({.kind = kind, .area = *area});
        }
    }
    // Memory in a BAR is at whole pages.
    if (io::is_aligned<std::uint64_t>(size, io::page_size())) {
        for (const RegionArea& area : memory) {
            cuts.push_back({.kind = BarCut::Kind::Memory, .area = area});
        }
    }
    std::ranges::sort(cuts, {}, [](const BarCut& cut) { return cut.area.offset; });

    std::vector<BarCut> whole;
    std::uint64_t end = 0;
    const auto trap_up_to = [&](std::uint64_t offset) {
        if (offset > end) {
            whole.push_back({.area = {.offset = end, .size = offset - end}});
        }
    };
    for (const BarCut& cut : cuts) {
        if (cut.area.offset < end) {
            return std::nullopt;
        }
        trap_up_to(cut.area.offset);
        whole.push_back(cut);
        end = cut.area.offset + cut.area.size;
    }
    trap_up_to(size);
    return whole;
}

}  // namespace cxlvm::vfio
