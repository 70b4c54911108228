// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_check/host_check.hpp"

#include <algorithm>
#include <iterator>

#include "vmm/host_check/items.hpp"

namespace cxlvm::host_check {

std::vector<CheckItem> check_host(const Config& config) {
    const KernelConfig kernel(config.root);
    Items all;
    const auto add = [&all](Items items) { std::ranges::move(items, std::back_inserter(all)); };
    add(kvm_items(gather_kvm_facts(config.root + "/dev/kvm", config.measure_speed)));
    add(call_items(gather_call_facts(config.root)));
    add(memory_items(config.root));
    add(limit_items(gather_limit_facts(config.root)));
    add(assignment_items(config.root, kernel));
    add(accelerator_items(config.root, kernel));
    add(network_items(config.root));
    return all;
}

bool check_has_errors(std::span<const CheckItem> items) noexcept {
    return std::ranges::any_of(
        items, [](const CheckItem& item) { return item.status == CheckItem::Status::Missing; });
}

}  // namespace cxlvm::host_check
