// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>

#include "memory/address.hpp"
#include "memory/doorbell.hpp"
#include "memory/io_handler.hpp"
#include "memory/memory_listener.hpp"

namespace cxlvm {

class AddressSpace;

/// A piece of an address space, owned by its device and immovable. Either *trapped* (each access
/// calls a handler) or *memory* (host memory that the guest reaches without an exit). Unmapped on
/// destruction.
///
/// A region must not be destroyed while a vCPU runs: a lookup that found it may still be calling
/// its handler. Unmapping while vCPUs run is fine; a call that began before may still end after.
class Region {
  public:
    /// Trapped. `size` in bytes, not 0; `name` for messages, a literal.
    Region(const char* name, std::uint64_t size, IoHandler& handler) noexcept;
    /// Memory. `host` is page aligned, a multiple of the page size, and outlives the region.
    struct Backing {
        std::span<std::byte> host;
        int fd = -1;
        std::uint64_t fd_offset = 0;
        bool read_only = false;
        bool ram = false;
    };
    Region(const char* name, const Backing& backing) noexcept;
    /// Trapped, with doorbells; `doorbells` outlive the region. The handler serves their writes
    /// too, for a host that connects none of them.
    Region(const char* name, std::uint64_t size, IoHandler& handler,
           std::span<const Doorbell> doorbells) noexcept;
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;
    ~Region();

    [[nodiscard]] const char* name() const noexcept { return name_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] bool is_memory() const noexcept { return handler_ == nullptr; }
    [[nodiscard]] bool mapped() const noexcept { return space_ != nullptr; }
    /// Base address while mapped.
    [[nodiscard]] std::uint64_t base() const noexcept { return base_; }

  private:
    friend class AddressSpace;

    const char* name_;
    std::uint64_t size_;
    IoHandler* handler_ = nullptr;
    Backing backing_;
    std::span<const Doorbell> doorbells_;
    // Written under the AddressSpace's lock.
    AddressSpace* space_ = nullptr;
    std::uint64_t base_ = 0;
};

/// What lies at which address: guest physical memory or I/O ports.
///
/// Lookup takes no lock (a sequence-counted, sorted array), so vCPUs never wait for one another;
/// map and unmap are serialised by a mutex and allocate nothing: room for `capacity` regions is
/// taken at construction. A whole access must lie inside one region.
class AddressSpace {
  public:
    explicit AddressSpace(std::size_t capacity);
    AddressSpace(const AddressSpace&) = delete;
    AddressSpace& operator=(const AddressSpace&) = delete;
    /// All regions must have been unmapped.
    ~AddressSpace();

    /// Tells the listeners of memory, then lets lookups find `region` at `base`: what a listener
    /// refuses was never there. Fails, with no effect, with EEXIST on overlap, EINVAL for a range
    /// that is empty, past the end or (memory) not page aligned, EBUSY when the region is mapped
    /// already, ENOSPC when full, or a listener's error. Any thread.
    std::error_code map(Region& region, std::uint64_t base) noexcept;
    /// Tells the listeners, then takes the region out. No effect when it is not mapped here. Any
    /// thread.
    void unmap(Region& region) noexcept;

    /// Serves one guest access; on any status but Ok a read fills `data` with all-ones and a write
    /// is dropped. An access to a memory region (a slot that is being changed) is served by
    /// copying, in one access when it is aligned; a write to a read-only one is Ok and without
    /// effect. Any thread; no lock is held while a handler runs.
    IoStatus read(std::uint64_t address, std::span<std::byte> data) noexcept;
    IoStatus write(std::uint64_t address, std::span<const std::byte> data) noexcept;

    /// Joins, and is told of everything mapped. Throws Error when the listener refuses a region.
    void add_listener(MemoryListener& listener);
    /// Leaves, after being told that everything is unmapped. No effect when it has not joined.
    void remove_listener(MemoryListener& listener) noexcept;

    /// From now on `host`, which outlives this or its disconnect_doorbells(), connects the
    /// doorbells of whatever is mapped. There is one at most.
    void connect_doorbells(DoorbellHost& host) noexcept;
    /// The host disconnects them all. No effect without one.
    void disconnect_doorbells() noexcept;

    [[nodiscard]] std::size_t region_count() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cxlvm
