// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/config/vm_keys.hpp"

/// --host-bridge, for the table of options.
namespace cxlvm::config {

using HostBridges = VmList<&VmConfig::host_bridges>;

inline constexpr VmKey kHostBridge[] = {
    {{"id", Kind::Text, "ID", {}, "by which a device names it with its key bus"},
     [](VmConfig& vm, const Value& value) { HostBridges::last(vm).id = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(HostBridges::shown(vm).id); }},
};

inline constexpr VmOption kHostBridgeOption = {
    {"host-bridge", "ID", "a PCI Express host bridge beside the first, with buses of its own",
     true},
    kHostBridge,
    HostBridges::reset,
    &HostBridges::kElements};

}  // namespace cxlvm::config
