// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar.hpp"

#include <limits>
#include <utility>

#include "devices/pci/bar_mapper.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/mapping.hpp"

namespace cxlvm::pci {

namespace {

constexpr std::uint64_t kLargestMemory32 = std::uint64_t{1} << 31;

[[nodiscard]] RegisterSpec register_of(const BarSpec& bar) noexcept {
    const bool wide = bar.kind == BarKind::Memory64;
    const auto flags = bar.kind == BarKind::Ports
                           ? Register<std::uint64_t>{}.with(kBarIo, true)
                           : Register<std::uint64_t>{}
                                 .with(kBarType, wide ? kBarType64 : std::uint8_t{0})
                                 .with(kBarPrefetchable, bar.prefetchable);
    // The bits below the size are not there, which is how a guest finds the size.
    const std::uint64_t address = ~(bar.size - 1);
    return {.offset = io::to_underlying(ConfigOffset::Bar0) + 4U * bar.index,
            .width = static_cast<std::uint8_t>(wide ? 8 : 4),
            .reset = flags.raw,
            .writable = wide ? address : address & std::numeric_limits<std::uint32_t>::max()};
}

void check_size(const BarSpec& bar) noexcept {
    io::check(io::is_power_of_two(bar.size), "Bars: a size is no power of two");
    if (bar.kind == BarKind::Ports) {
        io::check(bar.size >= kIoBarMinimumSize && bar.size <= kIoBarMaximumSize,
                  "Bars: a size of ports is below 4 or above 256");
        return;
    }
    io::check(bar.size >= kBarMinimumSize, "Bars: a size is below 16 bytes");
    io::check(bar.kind == BarKind::Memory64 || bar.size <= kLargestMemory32,
              "Bars: a size does not fit into 32 bits");
}

void check_pieces(const BarSpec& bar) noexcept {
    io::check(!bar.pieces.empty(), "Bars: a BAR has nothing behind it");
    std::uint64_t end = 0;
    for (const BarPiece& piece : bar.pieces) {
        io::check(piece.offset >= end && piece.offset <= bar.size &&
                      piece.region.size() <= bar.size - piece.offset,
                  "Bars: a piece leaves its BAR, overlaps another or is out of order");
        io::check(!piece.region.is_memory() ||
                      (bar.kind != BarKind::Ports &&
                       io::is_aligned<std::uint64_t>(piece.offset | bar.size, io::page_size())),
                  "Bars: memory in a BAR is not at whole pages");
        end = piece.offset + piece.region.size();
    }
}

void check_bar(const BarSpec& bar, std::size_t count) noexcept {
    const std::size_t slots = bar.kind == BarKind::Memory64 ? 2 : 1;
    io::check(bar.index < count && slots <= count - bar.index,
              "Bars: there is no BAR of this index");
    check_size(bar);
    check_pieces(bar);
}

}  // namespace

Bars::Bars(PciFunction& function, BarMapper& mapper, std::vector<BarSpec> specs)
    : function_(function), mapper_(mapper) {
    bars_.reserve(specs.size());
    for (BarSpec& spec : specs) {
        function.with_config([&](ConfigSpace& config) {
            check_bar(spec, config.bar_count());
            config.registers().add(register_of(spec));
        });
        bars_.push_back({.spec = std::move(spec)});
    }
    function.add_part(*this);
    mapper.join(*this);
}

Bars::~Bars() {
    mapper_.leave(*this);
}

void Bars::config_written() noexcept {
    mapper_.apply(*this, true);
}

void Bars::config_reset() noexcept {
    mapper_.apply(*this, false);
}

}  // namespace cxlvm::pci
