// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "memory/host_memory.hpp"
#include "vmm/host_check/items.hpp"

namespace cxlvm::host_check {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

CheckItem huge_page_item(const std::string& root, const char* name, std::uint64_t size,
                         const char* boot_option) {
    CheckItem item{.name = name, .status = Status::Ok};
    const auto pool = host::huge_page_pool(size, std::nullopt, root);
    if (!pool) {
        item.status = Status::Info;
        item.found = "not offered by this processor or kernel";
        item.remedy = "use 2 MiB pages or transparent huge pages";
        return item;
    }
    item.found = fmt::format("{} free of {}", pool->free, pool->total);
    if (pool->free == 0) {
        item.status = Status::Info;
        item.remedy = fmt::format("echo N > {}{}", pool->control, boot_option);
    }
    return item;
}

// The word in brackets of "always [madvise] never".
std::string chosen(const std::string& text) {
    const std::size_t from = text.find('[');
    const std::size_t to = text.find(']', from == std::string::npos ? 0 : from);
    if (from == std::string::npos || to == std::string::npos) {
        return {};
    }
    return text.substr(from + 1, to - from - 1);
}

CheckItem transparent_item(const std::string& root) {
    const std::string control = "/sys/kernel/mm/transparent_hugepage/enabled";
    CheckItem item{.name = "transparent huge pages", .status = Status::Ok};
    const std::string mode = chosen(host::read_text(root + control).value_or(""));
    if (mode.empty()) {
        item.status = Status::Info;
        item.found = "this kernel has none";
        item.remedy = "a kernel with CONFIG_TRANSPARENT_HUGEPAGE=y";
        return item;
    }
    item.found = mode;
    if (mode == "never") {
        item.status = Status::Warn;
        item.remedy = "echo madvise > " + control;
    }
    return item;
}

CheckItem node_item(const std::string& root) {
    const std::vector<unsigned> nodes = host::memory_nodes(root);
    return {.name = "NUMA nodes",
            .status = Status::Info,
            .found = nodes.empty()
                         ? std::string("this kernel knows none")
                         : fmt::format("{} with memory: {}", nodes.size(), fmt::join(nodes, ", "))};
}

CheckItem amount_item(const std::string& root) {
    CheckItem item{.name = "memory", .status = Status::Info, .found = "of unknown size"};
    const auto totals = host::memory_totals(root);
    const auto limit = host::memory_limit(root);
    if (totals && limit) {
        item.found = fmt::format("{} available; a guest may have up to {}",
                                 host::format_size(totals->available), host::format_size(*limit));
    }
    return item;
}

}  // namespace

Items memory_items(const std::string& root) {
    return {amount_item(root), huge_page_item(root, "huge pages of 2 MiB", 2 * kMiB, ""),
            huge_page_item(root, "huge pages of 1 GiB", 1024 * kMiB,
                           ", or boot with hugepagesz=1G hugepages=N"),
            transparent_item(root), node_item(root)};
}

}  // namespace cxlvm::host_check
