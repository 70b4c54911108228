// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "io/mutex.hpp"

namespace cxlvm {

class Region;

/// The sorted table that an AddressSpace searches on every guest access.
///
/// find() takes no lock: a sequence counter, odd while the table changes, tells a reader that what
/// it saw was torn, and it looks again. After a bounded number of tries it waits for the mutex,
/// which a writer holds for no longer than it takes to move the entries. Writers must be
/// serialised by their caller. No allocation after construction.
class RegionTable {
  public:
    struct Hit {
        Region* region = nullptr;  ///< null: no region holds the whole access
        std::uint64_t offset = 0;  ///< of the access within the region
    };
    struct Entry {
        std::uint64_t base;
        std::uint64_t last;
        Region* region;
    };

    explicit RegionTable(std::size_t capacity);

    /// The region in which all `size` bytes at `address` lie. Any thread.
    [[nodiscard]] Hit find(std::uint64_t address, std::uint64_t size) const noexcept;
    /// Any thread; exact only for the writer.
    [[nodiscard]] std::size_t size() const noexcept {
        return count_.load(std::memory_order_relaxed);
    }

    // For the writer alone.
    [[nodiscard]] bool full() const noexcept { return size() == capacity_; }
    [[nodiscard]] bool overlaps(std::uint64_t base, std::uint64_t last) const noexcept;
    /// `index` below size(), by ascending address.
    [[nodiscard]] Entry at(std::size_t index) const noexcept { return slots_[index].load(); }
    /// `entry` overlaps nothing and the table is not full.
    void insert(const Entry& entry) noexcept;
    /// The entry that starts at `base`, which exists.
    void erase(std::uint64_t base) noexcept;

  private:
    // A reader's loads acquire and a writer's stores release, so that a reader which saw any part
    // of a change also sees the odd counter that preceded it. (Fences would do too, but the thread
    // sanitizer does not understand them; on x86 all of these are plain moves.)
    struct Slot {
        std::atomic<std::uint64_t> base;
        std::atomic<std::uint64_t> last;
        std::atomic<Region*> region;

        [[nodiscard]] Entry load() const noexcept {
            return {base.load(std::memory_order_acquire), last.load(std::memory_order_acquire),
                    region.load(std::memory_order_acquire)};
        }
        void store(const Entry& entry) noexcept {
            base.store(entry.base, std::memory_order_release);
            last.store(entry.last, std::memory_order_release);
            region.store(entry.region, std::memory_order_release);
        }
    };

    [[nodiscard]] std::size_t upper_bound(std::uint64_t address) const noexcept;
    [[nodiscard]] Hit search(std::uint64_t first, std::uint64_t last) const noexcept;
    template <typename Change>
    void publish(Change&& change) noexcept;

    std::size_t capacity_;
    std::unique_ptr<Slot[]> slots_;
    std::atomic<std::size_t> count_{0};
    std::atomic<std::uint64_t> sequence_{0};
    mutable io::Mutex mutex_;
};

}  // namespace cxlvm
