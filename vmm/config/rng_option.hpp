// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/config/vm_keys.hpp"

/// --rng, for the table of options.
namespace cxlvm::config {

using Rng = VmOptional<&VmConfig::rng>;

inline constexpr VmKey kRng[] = {
    {{"source", Kind::Text, "FILE", "the host's kernel", "a character device; fd=N: a descriptor"},
     [](VmConfig& vm, const Value& value) { Rng::given(vm).source = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Rng::shown(vm).source); }},
    kBusKey<Rng>,
    kRootPortKey<Rng>,
};

inline constexpr VmOption kRngOption = {
    {"rng", "[KEY[=VALUE]][,KEY[=VALUE]]...", "a device that gives the guest random bytes", false,
     false, true},
    kRng,
    Rng::reset,
    &Rng::kElements};

}  // namespace cxlvm::config
