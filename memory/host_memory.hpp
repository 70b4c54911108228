// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// What the host says about its memory, in /proc and /sys. `root` is put before those paths: empty
/// for the host itself, a folder for tests. What cannot be read counts as absent; nothing here
/// throws except for lack of memory.
namespace cxlvm::host {

/// The whole text file, at most 1 MiB of it; nothing when it cannot be read.
[[nodiscard]] std::optional<std::string> read_text(const std::string& path);
/// The unsigned decimal number that the file begins with.
[[nodiscard]] std::optional<std::uint64_t> read_number(const std::string& path);

/// Amounts in bytes.
struct MemoryTotals {
    std::uint64_t ram = 0;
    std::uint64_t swap = 0;
    std::uint64_t available = 0;  ///< obtainable now without swapping (MemAvailable)
    std::uint64_t swap_free = 0;
};
/// Of /proc/meminfo; nothing when that cannot be read.
[[nodiscard]] std::optional<MemoryTotals> memory_totals(const std::string& root = {});

/// The tightest memory limit of this process's control group and those above it (version 1 or 2),
/// in bytes; nothing when there is none.
[[nodiscard]] std::optional<std::uint64_t> cgroup_memory_limit(const std::string& root = {});

/// The most memory that this process can ever be given: RAM, or what the control group allows of
/// it, plus swap. Nothing when unknown.
[[nodiscard]] std::optional<std::uint64_t> memory_limit(const std::string& root = {});

/// What this process can be given now before something is killed, swap included: what the host has,
/// or what is left to the control group, or one above it, when that is less. Nothing when unknown.
[[nodiscard]] std::optional<std::uint64_t> obtainable_memory(const std::string& root = {});

/// Huge pages of one size, of the host or of one NUMA node.
struct HugePagePool {
    std::uint64_t total = 0;  ///< pages
    std::uint64_t free = 0;   ///< pages that nobody has reserved
    std::string control;      ///< the file that a new total is written to
};
/// Nothing when the host has no pages of `page_size` bytes (or no such node).
[[nodiscard]] std::optional<HugePagePool> huge_page_pool(std::uint64_t page_size,
                                                         std::optional<unsigned> node,
                                                         const std::string& root = {});

/// Numbers of a kernel list such as "0-2,7"; stops at what it cannot read, or after 4096.
[[nodiscard]] std::vector<unsigned> parse_list(const std::string& text);
/// NUMA nodes that have memory.
[[nodiscard]] std::vector<unsigned> memory_nodes(const std::string& root = {});

/// Binds the pages of `bytes` to a NUMA node: mbind(2), without libnuma. Returns 0 or an errno.
[[nodiscard]] int bind_to_node(std::span<std::byte> bytes, unsigned node) noexcept;

/// "512 MiB", "23.5 GiB": for messages.
[[nodiscard]] std::string format_size(std::uint64_t bytes);

}  // namespace cxlvm::host
