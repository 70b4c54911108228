// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_memory.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "memory/prefault.hpp"
#include "memory/ram_layout.hpp"

// Linux 6.3; without it newer kernels complain, or refuse (vm.memfd_noexec).
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace cxlvm {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

bool is_hugetlb(PageBacking backing) noexcept {
    return backing == PageBacking::Huge2M || backing == PageBacking::Huge1G;
}

bool has_file(PageBacking backing) noexcept {
    return backing == PageBacking::Shared || is_hugetlb(backing);
}

// KVM backs guest memory with a large page where guest and host address agree below its size.
std::uint64_t alignment_of(PageBacking backing) noexcept {
    return backing == PageBacking::Huge1G ? kGiB : 2 * kMiB;
}

void check_size(const GuestMemoryConfig& config) {
    const std::uint64_t page = page_size_of(config.backing);
    if (config.size == 0) {
        io::throw_input("--memory: the size is 0; give one such as 512M");
    }
    if (!io::is_aligned(config.size, page)) {
        io::throw_input(
            fmt::format("--memory: {} bytes are not a multiple of the page size; "
                        "give one of {}",
                        config.size, host::format_size(page)));
    }
    if (!io::is_aligned(config.hole_base.value() | config.high_base.value(), page)) {
        io::throw_input(
            fmt::format("--memory: the hole from {} to {} does not lie at a "
                        "multiple of the page size, {}",
                        config.hole_base, config.high_base, host::format_size(page)));
    }
    // Control groups do not count huge pages as memory.
    const auto limit = [&]() -> std::optional<std::uint64_t> {
        if (!is_hugetlb(config.backing)) {
            return host::memory_limit();
        }
        const auto totals = host::memory_totals();
        return totals ? std::optional(totals->ram) : host::memory_limit();
    }();
    if (limit && config.size > *limit) {
        io::throw_input(
            fmt::format("--memory: {} is more than the {} (RAM and swap) that this "
                        "process can be given; ask for less",
                        host::format_size(config.size), host::format_size(*limit)));
    }
}

void check_node(unsigned node) {
    const std::vector<unsigned> nodes = host::memory_nodes();
    if (std::ranges::find(nodes, node) == nodes.end()) {
        io::throw_input(
            fmt::format("--memory: NUMA node {} does not exist or has no memory; "
                        "this host's nodes: {}",
                        node, nodes.empty() ? "none" : fmt::format("{}", fmt::join(nodes, ", "))));
    }
}

std::optional<host::HugePagePool> pool_of(const GuestMemoryConfig& config) {
    if (!is_hugetlb(config.backing)) {
        return std::nullopt;
    }
    return host::huge_page_pool(page_size_of(config.backing), config.numa_node);
}

// Why the huge pages cannot be had, and what to write where. `pool` is as it was before we took
// anything from it.
[[noreturn]] void throw_no_huge_pages(const GuestMemoryConfig& config,
                                      const std::optional<host::HugePagePool>& pool) {
    const std::uint64_t page = page_size_of(config.backing);
    if (!pool) {
        throw io::Error(std::make_error_code(std::errc::not_enough_memory),
                        io::Error::Whole{fmt::format(
                            "--memory: this host has no huge pages of {}; leave hugepages out",
                            host::format_size(page))},
                        io::Fault::Host);
    }
    const std::uint64_t wanted = config.size / page;
    const std::string where =
        config.numa_node ? fmt::format(" on NUMA node {}", *config.numa_node) : std::string();
    throw io::Error(std::make_error_code(std::errc::not_enough_memory),
                    io::Error::Whole{fmt::format(
                        "--memory: {} pages of {} are needed and {} are free{}; reserve them with "
                        "\"echo {} > {}\"",
                        wanted, host::format_size(page), pool->free, where,
                        pool->total + wanted - std::min(wanted, pool->free), pool->control)},
                    io::Fault::Host);
}

io::Fd make_file(const GuestMemoryConfig& config) {
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    if (config.backing == PageBacking::Huge2M) {
        flags |= MFD_HUGETLB | MFD_HUGE_2MB;
    } else if (config.backing == PageBacking::Huge1G) {
        flags |= MFD_HUGETLB | MFD_HUGE_1GB;
    }
    io::Fd file(::memfd_create("cxlvm-guest-memory", flags | MFD_NOEXEC_SEAL));
    if (!file && errno == EINVAL) {
        file.reset(::memfd_create("cxlvm-guest-memory", flags));
    }
    if (!file) {
        io::throw_errno("memfd_create for guest memory");
    }
    if (::ftruncate(file.get(), static_cast<off_t>(config.size)) != 0) {
        io::throw_errno(
            fmt::format("--memory: cannot make a file of {}", host::format_size(config.size)));
    }
    // Whoever is given the descriptor cannot cut the file off under us: that would be a SIGBUS.
    if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        io::throw_errno("cannot seal the guest memory's file");
    }
    return file;
}

// Private memory is taken without reserving it (MAP_NORESERVE): a guest seldom touches all of its
// RAM, so many VMs may together be promised more than there is, and who wants certainty prefaults.
// Huge pages are never overcommitted: mmap(2) reserves them from the pool or fails, so that no
// touch can end in SIGBUS. Ordinary memfd pages are accounted one by one whatever the flag.
int map_flags(PageBacking backing) noexcept {
    return has_file(backing) ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
}

io::Mapping map_piece(const GuestMemoryConfig& config, const RamPiece& piece, const io::Fd& file,
                      const std::optional<host::HugePagePool>& pool) {
    const io::Mapping::Options options{.size = static_cast<std::size_t>(piece.range.size()),
                                       .protection = PROT_READ | PROT_WRITE,
                                       .flags = map_flags(config.backing),
                                       .fd = file.get(),
                                       .offset = file ? piece.offset : 0,
                                       .alignment = alignment_of(config.backing)};
    try {
        return {options, fmt::format("{} of guest memory", host::format_size(options.size))};
    } catch (const io::Error& error) {
        if (error.errno_value() != ENOMEM) {
            throw;
        }
        if (is_hugetlb(config.backing)) {
            throw_no_huge_pages(config, pool);
        }
        throw io::Error(error.code(),
                        io::Error::Whole{fmt::format(
                            "--memory: no room for {} in this process; give less, or raise its "
                            "limit (ulimit -v)",
                            host::format_size(options.size))},
                        error.fault());
    }
}

void advise(const GuestMemoryConfig& config, std::span<std::byte> bytes) {
    // A core dump is for the VMM's state; the guest's is not ours to write to disk.
    if (::madvise(bytes.data(), bytes.size(), MADV_DONTDUMP) != 0) {
        io::throw_errno("MADV_DONTDUMP on guest memory");
    }
    if (config.numa_node) {
        if (const int error = host::bind_to_node(bytes, *config.numa_node); error != 0) {
            io::throw_error(
                error, fmt::format("cannot bind guest memory to NUMA node {}", *config.numa_node));
        }
    }
}

PrefaultJob prefault_job(const GuestMemoryConfig& config,
                         std::span<const GuestMemory::Block> blocks) {
    PrefaultJob job{.page_size = static_cast<std::size_t>(page_size_of(config.backing)),
                    .numa_node = config.numa_node};
    job.chunk_size = std::max(job.chunk_size, job.page_size);
    if (is_hugetlb(config.backing)) {
        job.obtainable_memory = nullptr;
    }
    for (const GuestMemory::Block& block : blocks) {
        job.areas.push_back(block.host);
    }
    return job;
}

// Puts private pages of the file in place of those of `target`. False when it cannot be mapped (a
// file system without mmap), and then nothing has changed: one page is tried elsewhere first,
// because a MAP_FIXED that fails may leave a hole.
bool overlay_file(const io::Fd& file, std::uint64_t offset, std::span<std::byte> target,
                  const std::string& what) {
    constexpr int kProtection = PROT_READ | PROT_WRITE;
    constexpr int kFlags = MAP_PRIVATE | MAP_NORESERVE;
    if (target.empty()) {
        return false;
    }
    void* const trial = ::mmap(nullptr, io::page_size(), kProtection, kFlags, file.get(),
                               static_cast<off_t>(offset));
    if (trial == MAP_FAILED) {  // NOLINT(cppcoreguidelines-pro-type-cstyle-cast): libc's macro
        return false;
    }
    ::munmap(trial, io::page_size());
    if (::mmap(target.data(), target.size(), kProtection, kFlags | MAP_FIXED, file.get(),
               static_cast<off_t>(offset)) != target.data()) {
        io::throw_errno("map " + what + " into guest memory");
    }
    return true;
}

void read_file(const io::Fd& file, std::uint64_t offset, std::span<std::byte> target,
               const std::string& what) {
    while (!target.empty()) {
        const ssize_t got = io::retry_eintr([&] {
            return ::pread(file.get(), target.data(), target.size(), static_cast<off_t>(offset));
        });
        if (got < 0) {
            io::throw_errno("cannot read " + what);
        }
        if (got == 0) {
            io::throw_input(what + ": ends before what it should hold");
        }
        target = target.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

/// Host addresses; empty when the end does not lie behind the first.
struct HostRange {
    HostRange(std::uintptr_t first_byte, std::uintptr_t past_last) noexcept
        : first(first_byte), end(past_last) {}
    explicit HostRange(std::span<std::byte> bytes) noexcept
        : first(reinterpret_cast<std::uintptr_t>(bytes.data())), end(first + bytes.size()) {}

    [[nodiscard]] std::size_t size() const noexcept { return end - first; }
    [[nodiscard]] void* pointer() const noexcept {
        return reinterpret_cast<void*>(first);  // NOLINT(performance-no-int-to-ptr)
    }

    std::uintptr_t first;
    std::uintptr_t end;
};

HostRange intersection(HostRange a, HostRange b) noexcept {
    return {std::max(a.first, b.first), std::min(a.end, b.end)};
}

HostRange whole_pages(HostRange range) noexcept {
    return {io::align_up(range.first, io::page_size()), io::align_down(range.end, io::page_size())};
}

}  // namespace

std::uint64_t page_size_of(PageBacking backing) noexcept {
    switch (backing) {
        case PageBacking::Huge2M:
            return 2 * kMiB;
        case PageBacking::Huge1G:
            return kGiB;
        case PageBacking::Shared:
        case PageBacking::Anonymous:
        case PageBacking::Transparent:
            break;
    }
    return io::page_size();
}

GuestMemory::GuestMemory(const GuestMemoryConfig& config, const PrefaultConfig& taking)
    : config_(config) {
    check_size(config);
    if (config.numa_node) {
        check_node(*config.numa_node);
    }
    const auto pieces = place_ram(config.size, config.hole_base, config.high_base);
    if (!pieces) {
        io::throw_input(fmt::format("--memory: {} do not fit round the hole from {} to {}",
                                    host::format_size(config.size), config.hole_base,
                                    config.high_base));
    }
    const auto pool = pool_of(config);
    if (is_hugetlb(config.backing) &&
        (!pool || (config.numa_node && pool->free < config.size / page_size_of(config.backing)))) {
        throw_no_huge_pages(config, pool);
    }
    if (has_file(config.backing)) {
        file_ = make_file(config);
    }
    for (const RamPiece& piece : *pieces) {
        const io::Mapping& mapping = mappings_.emplace_back(map_piece(config, piece, file_, pool));
        advise(config, mapping.bytes());
        if (config.backing == PageBacking::Transparent &&
            ::madvise(mapping.bytes().data(), mapping.size(), MADV_HUGEPAGE) != 0) {
            throw io::Error(
                std::error_code(errno, std::generic_category()),
                io::Error::Whole{
                    "--memory: this kernel has no transparent huge pages; leave thp out"},
                io::Fault::Host);
        }
        blocks_.push_back({.range = piece.range,
                           .host = mapping.bytes(),
                           .fd = file_.get(),
                           .fd_offset = file_ ? piece.offset : 0});
    }
    if (is_hugetlb(config.backing) && config.numa_node) {
        // The reservation counts the pages of all nodes, and a touch that finds the bound node
        // empty would be a SIGBUS: take them now.
        PrefaultJob job = prefault_job(config_, blocks_);
        job.explain = [&] { throw_no_huge_pages(config, pool); };
        cxlvm::prefault(job, taking);
    }
}

std::optional<std::span<std::byte>> GuestMemory::span(Gpa base, std::uint64_t size) const noexcept {
    const auto range = GpaRange::of(base, size);
    if (!range) {
        return std::nullopt;
    }
    for (const Block& block : blocks_) {
        if (block.range.contains(*range)) {
            const std::uint64_t offset = base.value() - block.range.base().value();
            return block.host.subspan(static_cast<std::size_t>(offset),
                                      static_cast<std::size_t>(size));
        }
    }
    return std::nullopt;
}

bool GuestMemory::read(Gpa address, std::span<std::byte> data) const noexcept {
    const auto bytes = span(address, data.size());
    if (!bytes) {
        return false;
    }
    std::memcpy(data.data(), bytes->data(), data.size());
    return true;
}

bool GuestMemory::write(Gpa address, std::span<const std::byte> data) const noexcept {
    const auto bytes = span(address, data.size());
    if (!bytes) {
        return false;
    }
    std::memcpy(bytes->data(), data.data(), data.size());
    return true;
}

void GuestMemory::load_file(Gpa base, const io::Fd& file, std::uint64_t offset, std::uint64_t size,
                            const std::string& what) {
    const std::uint64_t page = io::page_size();
    if (!io::is_aligned(base.value() | offset, page)) {
        io::throw_input(fmt::format("{}: file offset {:#x} or guest address {} is not page aligned",
                                    what, offset, base));
    }
    if (size == 0) {
        return;
    }
    // Whole pages: blocks are multiples of a page, so a range that fits leaves room for them.
    const auto target = size > std::numeric_limits<std::uint64_t>::max() - page
                            ? std::nullopt
                            : span(base, io::align_up(size, page));
    if (!target) {
        io::throw_input(fmt::format("{}: {} do not fit into guest memory at {}", what,
                                    host::format_size(size), base));
    }
    const std::uint64_t available = io::file_size(file, what);
    if (offset > available || size > available - offset) {
        io::throw_input(fmt::format("{}: {} bytes at {:#x} reach past its end at {:#x}", what, size,
                                    offset, available));
    }

    // A page that the file fills only in part is copied: what follows `size` in the file must not
    // show.
    const std::uint64_t whole = has_file(config_.backing) ? 0 : io::align_down(size, page);
    const std::span<std::byte> overlay = target->first(static_cast<std::size_t>(whole));
    const std::uint64_t mapped = overlay_file(file, offset, overlay, what) ? whole : 0;
    if (mapped != 0) {
        advise(config_, overlay);
        const auto place =
            std::ranges::upper_bound(overlays_, overlay.data(), std::ranges::less{},
                                     [](std::span<std::byte> other) { return other.data(); });
        overlays_.insert(place, overlay);
    }
    const std::span<std::byte> rest = target->subspan(static_cast<std::size_t>(mapped));
    const auto left = static_cast<std::size_t>(size - mapped);
    read_file(file, offset + mapped, rest.first(left), what);
    std::ranges::fill(rest.subspan(left), std::byte{0});
}

bool GuestMemory::can_discard() const noexcept {
    return !is_hugetlb(config_.backing);
}

std::uint64_t GuestMemory::discard(std::span<std::byte> host) const noexcept {
    if (!can_discard()) {
        return 0;
    }
    // A shared mapping's pages are the file's: letting go of the mapping alone frees nothing.
    const int advice = has_file(config_.backing) ? MADV_REMOVE : MADV_DONTNEED;
    std::uint64_t bytes = 0;
    const auto give_back = [&bytes, advice](HostRange range) noexcept {
        if (range.first < range.end && ::madvise(range.pointer(), range.size(), advice) == 0) {
            bytes += range.size();
        }
    };
    for (const Block& block : blocks_) {
        HostRange rest = whole_pages(intersection(HostRange(host), HostRange(block.host)));
        for (const std::span<std::byte> bytes_of_file : overlays_) {
            const HostRange overlay(bytes_of_file);
            if (overlay.end > rest.first && overlay.first < rest.end) {
                give_back({rest.first, overlay.first});
                rest.first = overlay.end;
            }
        }
        give_back(rest);
    }
    return bytes;
}

void GuestMemory::prefault(const PrefaultConfig& config) const {
    cxlvm::prefault(prefault_job(config_, blocks_), config);
}

}  // namespace cxlvm
