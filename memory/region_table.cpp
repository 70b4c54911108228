// SPDX-License-Identifier: Apache-2.0
#include "memory/region_table.hpp"

#include <utility>

#include "memory/address.hpp"

namespace cxlvm {

namespace {

// A change moves at most a few hundred entries: far less time than this many looks. Only a writer
// that lost its CPU in the middle makes a reader give up, and then sleeping is right.
constexpr int kMaxTries = 128;

}  // namespace

RegionTable::RegionTable(std::size_t capacity)
    : capacity_(capacity), slots_(std::make_unique<Slot[]>(capacity)) {}

// Number of entries whose base is not above `address`. No branch depends on the table, whose order
// of access a processor cannot guess. Stays within bounds on a torn table too: the count never
// exceeds the capacity, and whatever the comparisons say, `low + length` does not grow.
std::size_t RegionTable::upper_bound(std::uint64_t address) const noexcept {
    std::size_t low = 0;
    std::size_t length = count_.load(std::memory_order_acquire);
    while (length != 0) {
        const std::size_t half = (length + 1) / 2;
        const bool right = slots_[low + half - 1].base.load(std::memory_order_acquire) <= address;
        low += right ? half : 0;
        length -= half;
    }
    return low;
}

RegionTable::Hit RegionTable::search(std::uint64_t first, std::uint64_t last) const noexcept {
    const std::size_t above = upper_bound(first);
    if (above == 0) {
        return {};
    }
    const Entry entry = at(above - 1);
    if (last > entry.last) {
        return {};
    }
    return {entry.region, first - entry.base};
}

RegionTable::Hit RegionTable::find(std::uint64_t address, std::uint64_t size) const noexcept {
    const auto range = GpaRange::of(Gpa(address), size);
    if (!range) {
        return {};
    }
    const std::uint64_t last = range->last().value();
    for (int tries = 0; tries < kMaxTries; ++tries) {
        const std::uint64_t before = sequence_.load(std::memory_order_acquire);
        if (before % 2 == 0) {
            const Hit hit = search(address, last);
            if (sequence_.load(std::memory_order_relaxed) == before) [[likely]] {
                return hit;
            }
        }
        __builtin_ia32_pause();
    }
    const io::MutexLock lock(mutex_);
    return search(address, last);
}

bool RegionTable::overlaps(std::uint64_t base, std::uint64_t last) const noexcept {
    // The one neighbour that can reach into the range starts at or below its end.
    const std::size_t above = upper_bound(last);
    return above != 0 && at(above - 1).last >= base;
}

template <typename Change>
void RegionTable::publish(Change&& change) noexcept {
    const io::MutexLock lock(mutex_);
    const std::uint64_t before = sequence_.load(std::memory_order_relaxed);
    sequence_.store(before + 1, std::memory_order_relaxed);
    std::forward<Change>(change)();
    sequence_.store(before + 2, std::memory_order_release);
}

void RegionTable::insert(const Entry& entry) noexcept {
    publish([&]() noexcept {
        const std::size_t place = upper_bound(entry.base);
        const std::size_t count = size();
        for (std::size_t i = count; i > place; --i) {
            slots_[i].store(at(i - 1));
        }
        slots_[place].store(entry);
        count_.store(count + 1, std::memory_order_release);
    });
}

void RegionTable::erase(std::uint64_t base) noexcept {
    publish([&]() noexcept {
        const std::size_t count = size() - 1;
        for (std::size_t i = upper_bound(base) - 1; i < count; ++i) {
            slots_[i].store(at(i + 1));
        }
        slots_[count].store({});
        count_.store(count, std::memory_order_release);
    });
}

}  // namespace cxlvm
