// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar_mapper.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::pci {

namespace {

constexpr Gpa kLastPort{0xffff};

}  // namespace

void BarMapper::join(Bars& bars) noexcept {
    for (const Bar& bar : bars.bars_) {
        io::check(bar.spec.kind != BarKind::Ports || ports_ != nullptr,
                  "BarMapper: an I/O BAR where there are no ports");
    }
    const io::MutexLock lock(mutex_);
    members_.push_back(bars);
}

void BarMapper::leave(Bars& bars) noexcept {
    const io::MutexLock lock(mutex_);
    for (Bar& bar : bars.bars_) {
        withdraw(bar);
    }
    members_.erase(members_.iterator_to(bars));
}

void BarMapper::give_way(GpaRange range) noexcept {
    const io::MutexLock lock(mutex_);
    evict(range);
}

void BarMapper::apply(Bars& bars, bool keep) noexcept {
    const io::MutexLock lock(mutex_);
    read_registers(bars);
    for (Bar& bar : bars.bars_) {
        if (!bar.placed || bar.wanted == bar.placed) {
            continue;
        }
        if (keep && bar.withheld) {
            withdraw_trapped(bar);
        } else {
            withdraw(bar);
        }
    }
    // Everyone else's too: what was in their way may have gone.
    for (Bars& member : members_) {
        for (Bar& bar : member.bars_) {
            place(bar);
        }
    }
    report(bars);
}

void BarMapper::read_registers(Bars& bars) noexcept {
    struct Snapshot {
        bool memory = false;
        bool ports = false;
        std::array<std::uint32_t, kBarCount> bar{};
    };
    // At once: a decode bit of before a write must not meet an address of after it.
    const auto registers = bars.function_.with_config([](const ConfigSpace& config) {
        Snapshot snapshot{.memory = config.decodes_memory(), .ports = config.decodes_ports()};
        for (std::size_t i = 0; i < kBarCount; ++i) {
            snapshot.bar[i] =
                config.registers().get32(io::to_underlying(ConfigOffset::Bar0) + 4 * i);
        }
        return snapshot;
    });
    for (Bar& bar : bars.bars_) {
        std::uint64_t base = registers.bar[bar.spec.index];
        if (bar.spec.kind == BarKind::Memory64) {
            base |= std::uint64_t{registers.bar[bar.spec.index + 1U]} << 32;
        }
        base = io::align_down(base, bar.spec.size);
        const auto range = GpaRange::of(Gpa(base), bar.spec.size);
        const bool ports = bar.spec.kind == BarKind::Ports;
        const bool is_place = base != 0 && range && range->last() <= (ports ? kLastPort : last_);
        const bool passed_on = ports ? !bars.function_.is_behind_port()
                                     : !is_place || bars.function_.is_reached_at(*range);
        const bool answers = (ports ? registers.ports : registers.memory) && passed_on;
        bar.wanted = answers && is_place ? range : std::nullopt;
        bar.withheld = !answers;
    }
}

AddressSpace& BarMapper::space_of(const Bar& bar) const noexcept {
    return bar.spec.kind == BarKind::Ports ? *ports_ : memory_;
}

void BarMapper::place(Bar& bar) noexcept {
    if (!bar.wanted || bar.complete) {
        return;
    }
    if (bar.spec.kind != BarKind::Ports) {
        evict(*bar.wanted);
    }
    bar.placed = bar.wanted;
    for (const BarPiece& piece : bar.spec.pieces) {
        if (!piece.region.mapped() &&
            space_of(bar).map(piece.region, bar.wanted->base().value() + piece.offset)) {
            withdraw(bar);
            return;
        }
    }
    bar.complete = true;
}

void BarMapper::evict(GpaRange range) noexcept {
    for (Bars& member : members_) {
        for (Bar& bar : member.bars_) {
            if (!bar.wanted && bar.placed && bar.placed->overlaps(range)) {
                withdraw(bar);
            }
        }
    }
}

void BarMapper::withdraw(Bar& bar) noexcept {
    for (const BarPiece& piece : bar.spec.pieces) {
        space_of(bar).unmap(piece.region);
    }
    bar.placed.reset();
    bar.complete = false;
}

void BarMapper::withdraw_trapped(Bar& bar) noexcept {
    bool kept = false;
    for (const BarPiece& piece : bar.spec.pieces) {
        if (piece.region.is_memory()) {
            kept = true;
        } else {
            space_of(bar).unmap(piece.region);
        }
    }
    if (!kept) {
        bar.placed.reset();
    }
    bar.complete = false;
}

void BarMapper::report(const Bars& bars) noexcept {
    for (const Bar& bar : bars.bars_) {
        if (bar.wanted && !bar.complete) {
            log_.guest(oddities_,
                       "{}: BAR {} is not mapped at {}: the range is taken or refused by the host",
                       bars.function_.name(), bar.spec.index, *bar.wanted);
        }
    }
}

}  // namespace cxlvm::pci
