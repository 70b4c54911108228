// SPDX-License-Identifier: Apache-2.0
#include "memory/address_space.hpp"

#include <algorithm>
#include <atomic>
#include <boost/intrusive/list.hpp>
#include <cstring>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/mapping.hpp"
#include "io/mutex.hpp"
#include "memory/region_table.hpp"

namespace cxlvm {

namespace {

std::error_code failure(std::errc error) noexcept {
    return std::make_error_code(error);
}

template <typename T>
bool is_one_access(const std::byte* host, std::size_t size) noexcept {
    return size == sizeof(T) && io::is_aligned(reinterpret_cast<std::uintptr_t>(host), sizeof(T));
}

template <typename T>
void load_once(std::byte* host, std::span<std::byte> data) noexcept {
    const T value = std::atomic_ref<T>(*reinterpret_cast<T*>(host)).load(std::memory_order_relaxed);
    std::memcpy(data.data(), &value, sizeof(T));
}

template <typename T>
void store_once(std::byte* host, std::span<const std::byte> data) noexcept {
    T value;
    std::memcpy(&value, data.data(), sizeof(T));
    std::atomic_ref<T>(*reinterpret_cast<T*>(host)).store(value, std::memory_order_relaxed);
}

// Aligned accesses of a register's width stay one access, as the guest's own would be: other vCPUs
// must not see half of a store, and device memory must not see bytes.
void copy_from(std::byte* host, std::span<std::byte> data) noexcept {
    if (is_one_access<std::uint64_t>(host, data.size())) {
        load_once<std::uint64_t>(host, data);
    } else if (is_one_access<std::uint32_t>(host, data.size())) {
        load_once<std::uint32_t>(host, data);
    } else if (is_one_access<std::uint16_t>(host, data.size())) {
        load_once<std::uint16_t>(host, data);
    } else if (is_one_access<std::uint8_t>(host, data.size())) {
        load_once<std::uint8_t>(host, data);
    } else {
        std::memcpy(data.data(), host, data.size());
    }
}

void copy_to(std::byte* host, std::span<const std::byte> data) noexcept {
    if (is_one_access<std::uint64_t>(host, data.size())) {
        store_once<std::uint64_t>(host, data);
    } else if (is_one_access<std::uint32_t>(host, data.size())) {
        store_once<std::uint32_t>(host, data);
    } else if (is_one_access<std::uint16_t>(host, data.size())) {
        store_once<std::uint16_t>(host, data);
    } else if (is_one_access<std::uint8_t>(host, data.size())) {
        store_once<std::uint8_t>(host, data);
    } else {
        std::memcpy(host, data.data(), data.size());
    }
}

}  // namespace

Region::Region(const char* name, std::uint64_t size, IoHandler& handler) noexcept
    : name_(name), size_(size), handler_(&handler) {}

Region::Region(const char* name, std::uint64_t size, IoHandler& handler,
               std::span<const Doorbell> doorbells) noexcept
    : name_(name), size_(size), handler_(&handler), doorbells_(doorbells) {
    for (const Doorbell& doorbell : doorbells_) {
        io::check(doorbell.offset < size, "Region: a doorbell outside the region");
    }
}

Region::Region(const char* name, const Backing& backing) noexcept
    : name_(name), size_(backing.host.size()), backing_(backing) {}

Region::~Region() {
    if (space_ != nullptr) {
        space_->unmap(*this);
    }
}

// Lock order: whatever a device holds, then `changes`, then the table's own mutex. `changes` is
// held while listeners work, which may take long (pinning guest RAM for an IOMMU); no guest access
// ever waits for it.
//
// A memory region is announced to the listeners before lookups find it, and taken back after they
// have let go of it. So a mapping that a listener refuses was never visible, and in between - when
// the guest may still reach the memory directly on one vCPU and exits on another - the exit is
// served from the same memory. Nobody may count on a new mapping before map() has returned, so an
// access that comes too early rightly finds nothing.
struct AddressSpace::Impl {
    using Listeners = boost::intrusive::list<MemoryListener>;

    explicit Impl(std::size_t capacity) : table(capacity) {}

    [[nodiscard]] static MemoryView view_of(const Region& region, GpaRange range) noexcept {
        const Region::Backing& backing = region.backing_;
        return {.range = range,
                .host = backing.host,
                .fd = backing.fd,
                .fd_offset = backing.fd_offset,
                .read_only = backing.read_only,
                .ram = backing.ram};
    }

    [[nodiscard]] static std::error_code check_place(const Region& region,
                                                     std::optional<GpaRange> range) noexcept {
        if (!range) {
            return failure(std::errc::invalid_argument);
        }
        if (region.is_memory()) {
            const std::uint64_t page = io::page_size();
            const auto host = reinterpret_cast<std::uintptr_t>(region.backing_.host.data());
            if (!io::is_aligned(range->base().value() | region.size_ | host, page)) {
                return failure(std::errc::invalid_argument);
            }
        }
        return {};
    }

    // The memory regions that `told` listeners or entries have heard of are taken back in reverse.
    [[nodiscard]] std::error_code announce(const MemoryView& view) noexcept
        CXLVM_REQUIRES(changes) {
        for (auto listener = listeners.begin(); listener != listeners.end(); ++listener) {
            if (const std::error_code error = listener->mapped(view)) {
                withdraw(listener, view);
                return error;
            }
        }
        return {};
    }
    void withdraw(Listeners::iterator end, const MemoryView& view) noexcept
        CXLVM_REQUIRES(changes) {
        while (end != listeners.begin()) {
            (--end)->unmapped(view);
        }
    }

    [[nodiscard]] std::optional<MemoryView> memory_at(std::size_t index) const noexcept
        CXLVM_REQUIRES(changes) {
        const RegionTable::Entry entry = table.at(index);
        const auto range = GpaRange::between(Gpa(entry.base), Gpa(entry.last));
        if (!range || !entry.region->is_memory()) {
            return std::nullopt;
        }
        return view_of(*entry.region, *range);
    }
    // Tells `listener` that the first `count` regions are gone.
    void forget(MemoryListener& listener, std::size_t count) const noexcept
        CXLVM_REQUIRES(changes) {
        while (count != 0) {
            if (const auto view = memory_at(--count)) {
                listener.unmapped(*view);
            }
        }
    }

    // Which of a region's doorbells are connected is not kept: the host takes back what it has.
    void connect(const Region& region, std::uint64_t base) const noexcept CXLVM_REQUIRES(changes) {
        for (const Doorbell& doorbell : region.doorbells_) {
            // Refused: its writes go to the handler.
            static_cast<void>(doorbells->connect(Gpa(base + doorbell.offset), doorbell.eventfd));
        }
    }
    void disconnect(const Region& region, std::uint64_t base) const noexcept
        CXLVM_REQUIRES(changes) {
        for (const Doorbell& doorbell : region.doorbells_) {
            doorbells->disconnect(Gpa(base + doorbell.offset), doorbell.eventfd);
        }
    }

    io::Mutex changes;
    RegionTable table;  // written under `changes`
    Listeners listeners CXLVM_GUARDED_BY(changes);
    DoorbellHost* doorbells CXLVM_GUARDED_BY(changes) = nullptr;
};

AddressSpace::AddressSpace(std::size_t capacity) : impl_(std::make_unique<Impl>(capacity)) {}

AddressSpace::~AddressSpace() {
    io::check(impl_->table.size() == 0, "AddressSpace: destroyed with regions still mapped");
}

std::error_code AddressSpace::map(Region& region, std::uint64_t base) noexcept {
    const auto range = GpaRange::of(Gpa(base), region.size_);
    const io::MutexLock lock(impl_->changes);
    if (region.space_ != nullptr) {
        return failure(std::errc::device_or_resource_busy);
    }
    if (const std::error_code error = Impl::check_place(region, range)) {
        return error;
    }
    const std::uint64_t last = range->last().value();
    if (impl_->table.overlaps(base, last)) {
        return failure(std::errc::file_exists);
    }
    if (impl_->table.full()) {
        return failure(std::errc::no_space_on_device);
    }
    if (region.is_memory()) {
        if (const std::error_code error = impl_->announce(Impl::view_of(region, *range))) {
            return error;
        }
    }
    region.space_ = this;
    region.base_ = base;
    impl_->table.insert({base, last, &region});
    if (impl_->doorbells != nullptr) {
        impl_->connect(region, base);
    }
    return {};
}

void AddressSpace::unmap(Region& region) noexcept {
    const io::MutexLock lock(impl_->changes);
    if (region.space_ != this) {
        return;
    }
    if (region.is_memory()) {
        // The range was valid when the region was mapped.
        if (const auto range = GpaRange::of(Gpa(region.base_), region.size_)) {
            impl_->withdraw(impl_->listeners.end(), Impl::view_of(region, *range));
        }
    }
    if (impl_->doorbells != nullptr) {
        impl_->disconnect(region, region.base_);
    }
    impl_->table.erase(region.base_);
    region.space_ = nullptr;
}

IoStatus AddressSpace::read(std::uint64_t address, std::span<std::byte> data) noexcept {
    const RegionTable::Hit hit = impl_->table.find(address, data.size());
    IoStatus status = IoStatus::Unmapped;
    if (hit.region != nullptr) {
        if (hit.region->is_memory()) {
            copy_from(hit.region->backing_.host.data() + hit.offset, data);
            return IoStatus::Ok;
        }
        status = hit.region->handler_->read(hit.offset, data);
    }
    if (status != IoStatus::Ok) {
        std::ranges::fill(data, std::byte{0xff});
    }
    return status;
}

IoStatus AddressSpace::write(std::uint64_t address, std::span<const std::byte> data) noexcept {
    const RegionTable::Hit hit = impl_->table.find(address, data.size());
    if (hit.region == nullptr) {
        return IoStatus::Unmapped;
    }
    if (!hit.region->is_memory()) {
        return hit.region->handler_->write(hit.offset, data);
    }
    // Read-only memory takes writes and forgets them, as a ROM does.
    if (!hit.region->backing_.read_only) {
        copy_to(hit.region->backing_.host.data() + hit.offset, data);
    }
    return IoStatus::Ok;
}

void AddressSpace::add_listener(MemoryListener& listener) {
    const io::MutexLock lock(impl_->changes);
    io::check(!listener.is_linked(), "AddressSpace: a listener joins twice");
    for (std::size_t i = 0; i < impl_->table.size(); ++i) {
        const auto view = impl_->memory_at(i);
        if (!view) {
            continue;
        }
        if (const std::error_code error = listener.mapped(*view)) {
            impl_->forget(listener, i);
            throw io::Error(error, fmt::format("cannot make the memory {} at {} reachable",
                                               impl_->table.at(i).region->name(), view->range));
        }
    }
    impl_->listeners.push_back(listener);
}

void AddressSpace::remove_listener(MemoryListener& listener) noexcept {
    const io::MutexLock lock(impl_->changes);
    if (!listener.is_linked()) {
        return;
    }
    impl_->forget(listener, impl_->table.size());
    impl_->listeners.erase(impl_->listeners.iterator_to(listener));
}

void AddressSpace::connect_doorbells(DoorbellHost& host) noexcept {
    const io::MutexLock lock(impl_->changes);
    io::check(impl_->doorbells == nullptr, "AddressSpace: a second host of doorbells");
    impl_->doorbells = &host;
    for (std::size_t i = 0; i < impl_->table.size(); ++i) {
        const RegionTable::Entry entry = impl_->table.at(i);
        impl_->connect(*entry.region, entry.base);
    }
}

void AddressSpace::disconnect_doorbells() noexcept {
    const io::MutexLock lock(impl_->changes);
    if (impl_->doorbells == nullptr) {
        return;
    }
    for (std::size_t i = 0; i < impl_->table.size(); ++i) {
        const RegionTable::Entry entry = impl_->table.at(i);
        impl_->disconnect(*entry.region, entry.base);
    }
    impl_->doorbells = nullptr;
}

std::size_t AddressSpace::region_count() const noexcept {
    return impl_->table.size();
}

}  // namespace cxlvm
