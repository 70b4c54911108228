// SPDX-License-Identifier: Apache-2.0
#include "memory/host_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include "io/error.hpp"
#include "io/fd.hpp"

namespace cxlvm::host {

namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 20;
constexpr std::size_t kMaxListed = 4096;
constexpr unsigned kMaxNodes = 1024;  // MAX_NUMNODES of any Linux configuration

std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

// Takes the next line off `text`.
std::string_view take_line(std::string_view& text) noexcept {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

// The number behind "NAME " in memory.stat of a control group.
std::uint64_t stat_field(std::string_view text, std::string_view name) noexcept {
    while (!text.empty()) {
        std::string_view line = take_line(text);
        if (line.starts_with(name) && line.substr(name.size(), 1) == " ") {
            line.remove_prefix(name.size() + 1);
            return parse_number(line).value_or(0);
        }
    }
    return 0;
}

// Bytes of "NAME:   123 kB" in /proc/meminfo.
std::uint64_t meminfo_field(std::string_view text, std::string_view name) noexcept {
    while (!text.empty()) {
        std::string_view line = take_line(text);
        if (!line.starts_with(name) || line.substr(name.size(), 1) != ":") {
            continue;
        }
        line.remove_prefix(name.size() + 1);
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        return parse_number(line).value_or(0) * 1024;
    }
    return 0;
}

// The files of a control group that say what it may use (cgroups version 1 or 2).
struct GroupFiles {
    const char* mount;
    const char* limit;
    const char* usage;
    const char* swap_limit;
    const char* swap_usage;
    bool swap_counts_all;                   // the two above are of memory and swap together
    std::array<const char*, 2> file_cache;  // in memory.stat, of the group and those below it
};
constexpr GroupFiles kVersion1{.mount = "/sys/fs/cgroup/memory",
                               .limit = "memory.limit_in_bytes",
                               .usage = "memory.usage_in_bytes",
                               .swap_limit = "memory.memsw.limit_in_bytes",
                               .swap_usage = "memory.memsw.usage_in_bytes",
                               .swap_counts_all = true,
                               .file_cache = {"total_active_file", "total_inactive_file"}};
constexpr GroupFiles kVersion2{.mount = "/sys/fs/cgroup",
                               .limit = "memory.max",
                               .usage = "memory.current",
                               .swap_limit = "memory.swap.max",
                               .swap_usage = "memory.swap.current",
                               .swap_counts_all = false,
                               .file_cache = {"active_file", "inactive_file"}};

using Amount = std::optional<std::uint64_t>;

// What a group's limit is; nothing when it has none, or is not there.
Amount limit_of(const std::string& folder, const GroupFiles& files) {
    return read_number(fmt::format("{}/{}", folder, files.limit));
}

// What is left of a limit; nothing when there is none.
Amount left_of(const std::string& folder, const char* limit_file, const char* usage_file,
               std::uint64_t not_counted) {
    const Amount limit = read_number(fmt::format("{}/{}", folder, limit_file));
    const Amount usage = read_number(fmt::format("{}/{}", folder, usage_file));
    if (!limit || !usage) {
        return std::nullopt;
    }
    return *limit - std::min(*limit, *usage - std::min(*usage, not_counted));
}

// What a group can still be given, with `swap_free` bytes of swap in the host. Cached files count
// as used and yet as left: the kernel drops them before it kills.
Amount room_of(const std::string& folder, const GroupFiles& files, std::uint64_t swap_free) {
    if (!limit_of(folder, files)) {
        return std::nullopt;
    }
    const std::string stat = read_text(folder + "/memory.stat").value_or("");
    std::uint64_t cached = 0;
    for (const char* const name : files.file_cache) {
        cached += stat_field(stat, name);
    }
    const Amount memory = left_of(folder, files.limit, files.usage, cached);
    if (!memory) {
        return std::nullopt;
    }
    const Amount swap =
        left_of(folder, files.swap_limit, files.swap_usage, files.swap_counts_all ? cached : 0);
    if (files.swap_counts_all) {
        return std::min(*memory + swap_free, swap.value_or(*memory + swap_free));
    }
    return *memory + std::min(swap_free, swap.value_or(swap_free));
}

// The least that `amount_of` says of the folder `group` and of those above it. A container may see
// a path that lies outside its own mount: what is not there is skipped.
template <typename AmountOf>
Amount least_above(const std::string& root, const GroupFiles& files, std::string group,
                   AmountOf&& amount_of) {
    Amount least;
    for (;;) {
        const Amount amount = amount_of(fmt::format("{}{}{}", root, files.mount, group), files);
        if (amount && (!least || *amount < *least)) {
            least = amount;
        }
        if (group.empty()) {
            return least;
        }
        group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
    }
}

bool names_controller(std::string_view list, std::string_view name) noexcept {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        if (list.substr(0, comma) == name) {
            return true;
        }
        list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    }
    return false;
}

// /proc/self/cgroup has lines "ID:CONTROLLERS:PATH"; in version 2 the ID is 0 and the controllers
// are empty (cgroups(7)).
template <typename AmountOf>
Amount least_of_groups(const std::string& root, AmountOf&& amount_of) {
    const auto text = read_text(root + "/proc/self/cgroup");
    if (!text) {
        return std::nullopt;
    }
    Amount least;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::string_view line = take_line(rest);
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first == std::string_view::npos ? 0 : first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) {
            continue;
        }
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        std::string group(line.substr(second + 1));
        while (!group.empty() && group.back() == '/') {
            group.pop_back();
        }
        Amount amount;
        if (controllers.empty()) {
            amount = least_above(root, kVersion2, std::move(group), amount_of);
        } else if (names_controller(controllers, "memory")) {
            amount = least_above(root, kVersion1, std::move(group), amount_of);
        }
        if (amount && (!least || *amount < *least)) {
            least = amount;
        }
    }
    return least;
}

}  // namespace

std::optional<std::string> read_text(const std::string& path) {
    const io::Fd fd(
        io::retry_eintr([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }));
    if (!fd) {
        return std::nullopt;
    }
    std::string text;
    std::array<char, 4096> buffer;
    while (text.size() < kMaxText) {
        const ssize_t got =
            io::retry_eintr([&] { return ::read(fd.get(), buffer.data(), buffer.size()); });
        if (got < 0) {
            return std::nullopt;
        }
        if (got == 0) {
            break;
        }
        text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return text;
}

std::optional<std::uint64_t> read_number(const std::string& path) {
    const auto text = read_text(path);
    return text ? parse_number(*text) : std::nullopt;
}

std::optional<MemoryTotals> memory_totals(const std::string& root) {
    const auto text = read_text(root + "/proc/meminfo");
    if (!text) {
        return std::nullopt;
    }
    return MemoryTotals{.ram = meminfo_field(*text, "MemTotal"),
                        .swap = meminfo_field(*text, "SwapTotal"),
                        .available = meminfo_field(*text, "MemAvailable"),
                        .swap_free = meminfo_field(*text, "SwapFree")};
}

std::optional<std::uint64_t> cgroup_memory_limit(const std::string& root) {
    return least_of_groups(root, limit_of);
}

std::optional<std::uint64_t> obtainable_memory(const std::string& root) {
    const auto totals = memory_totals(root);
    if (!totals) {
        return std::nullopt;
    }
    const std::uint64_t free = totals->available + totals->swap_free;
    const Amount room =
        least_of_groups(root, [&](const std::string& folder, const GroupFiles& files) {
            return room_of(folder, files, totals->swap_free);
        });
    return std::min(free, room.value_or(free));
}

std::optional<std::uint64_t> memory_limit(const std::string& root) {
    const auto totals = memory_totals(root);
    if (!totals || totals->ram == 0) {
        return std::nullopt;
    }
    const std::uint64_t ram =
        std::min(totals->ram, cgroup_memory_limit(root).value_or(totals->ram));
    return ram + totals->swap;
}

std::optional<HugePagePool> huge_page_pool(std::uint64_t page_size, std::optional<unsigned> node,
                                           const std::string& root) {
    const std::string size = fmt::format("hugepages-{}kB", page_size / 1024);
    const std::string folder =
        node ? fmt::format("/sys/devices/system/node/node{}/hugepages/{}", *node, size)
             : "/sys/kernel/mm/hugepages/" + size;
    HugePagePool pool{.control = folder + "/nr_hugepages"};
    const auto total = read_number(root + pool.control);
    if (!total) {
        return std::nullopt;
    }
    pool.total = *total;
    const std::uint64_t free = read_number(root + folder + "/free_hugepages").value_or(0);
    // Reserved pages are free until they are touched. Nodes do not count theirs.
    pool.free = free - std::min(free, read_number(root + folder + "/resv_hugepages").value_or(0));
    return pool;
}

std::vector<unsigned> parse_list(const std::string& text) {
    std::vector<unsigned> numbers;
    const char* at = text.data();
    const char* const end = at + text.size();
    for (;;) {
        unsigned first = 0;
        auto result = std::from_chars(at, end, first);
        if (result.ec != std::errc{}) {
            return numbers;
        }
        unsigned last = first;
        if (result.ptr != end && *result.ptr == '-') {
            result = std::from_chars(result.ptr + 1, end, last);
            if (result.ec != std::errc{}) {
                return numbers;
            }
        }
        for (std::uint64_t number = first; number <= last; ++number) {
            if (numbers.size() == kMaxListed) {
                return numbers;
            }
            numbers.push_back(static_cast<unsigned>(number));
        }
        if (result.ptr == end || *result.ptr != ',') {
            return numbers;
        }
        at = result.ptr + 1;
    }
}

std::vector<unsigned> memory_nodes(const std::string& root) {
    return parse_list(read_text(root + "/sys/devices/system/node/has_memory").value_or(""));
}

int bind_to_node(std::span<std::byte> bytes, unsigned node) noexcept {
    if (node >= kMaxNodes) {
        return EINVAL;
    }
    constexpr unsigned kBits = std::numeric_limits<unsigned long>::digits;
    std::array<unsigned long, kMaxNodes / kBits> nodes{};
    nodes[node / kBits] = 1UL << (node % kBits);
    // The kernel reads one bit less than it is told of.
    const long result = ::syscall(SYS_mbind, bytes.data(), bytes.size(), MPOL_BIND, nodes.data(),
                                  kMaxNodes + 1UL, 0U);
    return result == 0 ? 0 : errno;
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    std::uint64_t divisor = 1;
    while (unit + 1 < kUnits.size() && bytes / divisor >= 1024) {
        divisor *= 1024;
        ++unit;
    }
    if (bytes % divisor == 0) {
        return fmt::format("{} {}", bytes / divisor, kUnits[unit]);
    }
    return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(divisor),
                       kUnits[unit]);
}

}  // namespace cxlvm::host
