// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "io/fd.hpp"
#include "io/mapping.hpp"
#include "memory/address.hpp"

namespace cxlvm {

enum class PageBacking : std::uint8_t {
    Shared,       ///< memfd of ordinary pages (what devices in other processes and IOMMUs can map)
    Anonymous,    ///< private anonymous memory: cheapest, cannot be shared
    Transparent,  ///< anonymous with MADV_HUGEPAGE
    Huge2M,       ///< memfd on 2 MiB hugetlb pages, reserved at construction
    Huge1G,       ///< memfd on 1 GiB hugetlb pages, reserved at construction
};

struct GuestMemoryConfig {
    std::uint64_t size = 0;  ///< bytes, a multiple of the page size of `backing`
    PageBacking backing = PageBacking::Anonymous;
    std::optional<unsigned> numa_node;  ///< host node to bind to
    /// RAM up to here lies at address 0, the rest from `high_base` on: the hole between is for
    /// devices.
    Gpa hole_base{0xc000'0000};
    Gpa high_base{0x1'0000'0000};
};

/// Bytes of a page of the backing.
[[nodiscard]] std::uint64_t page_size_of(PageBacking backing) noexcept;

struct PrefaultConfig {
    unsigned threads = 0;  ///< 0: one per host CPU, at most one per 64 MiB
    /// Called from the calling thread each time that an interval has passed, and at the end when
    /// one has. What it throws ends the work and is passed on.
    std::function<void(std::uint64_t done, std::uint64_t total)> progress{};
    std::chrono::milliseconds progress_interval{1000};
};

/// The guest's RAM.
///
/// The guest may change it at any time: load a value once, then validate the copy. No call here
/// throws or aborts on a guest address. Any thread.
class GuestMemory {
  public:
    struct Block {
        GpaRange range;
        std::span<std::byte> host;
        int fd;  ///< -1 when the memory has no file
        std::uint64_t fd_offset;
    };

    /// Throws Error: Input for an absurd size, Host when the memory is not there (the message says
    /// how many huge pages are missing and how to reserve them). More than the host can ever
    /// provide is refused here. Huge pages bound to a NUMA node are taken here, not just reserved:
    /// the kernel's reservation does not know about nodes; `taking` says how.
    explicit GuestMemory(const GuestMemoryConfig& config, const PrefaultConfig& taking = {});

    [[nodiscard]] std::uint64_t size() const noexcept { return config_.size; }
    [[nodiscard]] PageBacking backing() const noexcept { return config_.backing; }
    /// By ascending address; at most two.
    [[nodiscard]] std::span<const Block> blocks() const noexcept { return blocks_; }
    /// The last address that is RAM.
    [[nodiscard]] Gpa last() const noexcept { return blocks_.back().range.last(); }

    /// Host memory of the range, which must lie within one block; nothing otherwise, also for
    /// `size` 0.
    [[nodiscard]] std::optional<std::span<std::byte>> span(Gpa base,
                                                           std::uint64_t size) const noexcept;

    /// A copy of the T at `address`, which need not be aligned.
    template <typename T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] std::optional<T> load(Gpa address) const noexcept {
        const auto bytes = span(address, sizeof(T));
        if (!bytes) {
            return std::nullopt;
        }
        std::array<std::byte, sizeof(T)> copy;
        std::memcpy(copy.data(), bytes->data(), sizeof(T));
        return std::bit_cast<T>(copy);
    }
    template <typename T>
    requires std::is_trivially_copyable_v<T>
    [[nodiscard]] bool store(Gpa address, const T& value) const noexcept {
        const auto bytes = span(address, sizeof(T));
        if (!bytes) {
            return false;
        }
        std::memcpy(bytes->data(), &value, sizeof(T));
        return true;
    }
    /// Copy bytes out of or into one block; false, and nothing is copied, where span() has nothing.
    [[nodiscard]] bool read(Gpa address, std::span<std::byte> data) const noexcept;
    [[nodiscard]] bool write(Gpa address, std::span<const std::byte> data) const noexcept;

    /// Puts `size` bytes of the file at page-aligned `offset` at page-aligned `base`, within one
    /// block: mapped copy-on-write where the backing allows (Anonymous, Transparent), so that the
    /// pages are shared with every other user of the file until the guest writes them; read in
    /// otherwise. The rest of the last page is zero. Set-up only: before any listener has seen the
    /// memory. The file must not be cut short while the memory lives (replace it, do not rewrite
    /// it): a page that has gone is a SIGBUS. Throws Error naming `what`.
    void load_file(Gpa base, const io::Fd& file, std::uint64_t offset, std::uint64_t size,
                   const std::string& what);

    /// Gives whole pages of `host`, any part of this memory, back to the host, and returns how many
    /// bytes. Such a page reads as zeros when it is next touched. What cannot be had again so stays
    /// as it is: pages of a file that was put in copy-on-write, which would turn into the file's,
    /// and huge pages, whose reservation would be lost. Any thread, while the guest runs; what is
    /// given back costs time by its size.
    std::uint64_t discard(std::span<std::byte> host) const noexcept;
    /// Whether the backing allows discard() anything.
    [[nodiscard]] bool can_discard() const noexcept;

    /// Populates all pages by MADV_POPULATE_WRITE on several threads; file pages that were put in
    /// copy-on-write become copies. Throws Error when the host runs out of memory.
    void prefault(const PrefaultConfig& config) const;

  private:
    GuestMemoryConfig config_;
    io::Fd file_;
    std::vector<io::Mapping> mappings_;
    std::vector<Block> blocks_;
    std::vector<std::span<std::byte>> overlays_;  ///< files put in copy-on-write, by address
};

}  // namespace cxlvm
