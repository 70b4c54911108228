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

// The least of `file` in the folder `group` below `mount` and in those above it. A container may
// see a path that lies outside its own mount: what is not there is skipped.
std::optional<std::uint64_t> least_limit(const std::string& mount, std::string group,
                                         const char* file) {
    std::optional<std::uint64_t> least;
    for (;;) {
        const auto limit = read_number(fmt::format("{}{}/{}", mount, group, file));
        if (limit && (!least || *limit < *least)) {
            least = limit;
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

// /proc/self/cgroup has lines "ID:CONTROLLERS:PATH"; in version 2 the ID is 0 and the controllers
// are empty (cgroups(7)).
std::optional<std::uint64_t> cgroup_memory_limit(const std::string& root) {
    const auto text = read_text(root + "/proc/self/cgroup");
    if (!text) {
        return std::nullopt;
    }
    std::optional<std::uint64_t> least;
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
        std::optional<std::uint64_t> limit;
        if (controllers.empty()) {
            limit = least_limit(root + "/sys/fs/cgroup", group, "memory.max");
        } else if (names_controller(controllers, "memory")) {
            limit = least_limit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        }
        if (limit && (!least || *limit < *least)) {
            least = limit;
        }
    }
    return least;
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
