// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "vmm/config/vm_keys.hpp"

/// --balloon, for the table of options.
namespace cxlvm::config {

using Balloon = VmOptional<&VmConfig::balloon>;

inline constexpr VmKey kBalloon[] = {
    {{"target", Kind::Size, "SIZE", "nothing", "memory that the guest is asked to give up"},
     [](VmConfig& vm, const Value& value) { Balloon::given(vm).target = parse_size(value); },
     [](const VmConfig& vm) {
         const std::uint64_t target = Balloon::shown(vm).target;
         return target == 0 ? Texts{} : Texts{format_size(target)};
     }},
    {{"deflate-on-oom", Kind::Flag, {}, "off", "it may take that back when it runs out of memory"},
     [](VmConfig& vm, const Value& value) {
         Balloon::given(vm).deflate_on_oom = parse_flag(value);
     },
     [](const VmConfig& vm) { return flag(Balloon::shown(vm).deflate_on_oom); }},
    {{"reporting", Kind::Flag, {}, "off", "whatever memory it has free goes back to the host"},
     [](VmConfig& vm, const Value& value) { Balloon::given(vm).reporting = parse_flag(value); },
     [](const VmConfig& vm) { return flag(Balloon::shown(vm).reporting); }},
    {{"statistics", Kind::Number, "N", "off",
      "seconds between its reports on its memory, for --log info"},
     [](VmConfig& vm, const Value& value) {
         Balloon::given(vm).statistics = std::chrono::seconds(parse_number(value, 1, 86400));
     },
     [](const VmConfig& vm) {
         return number_unless_zero(static_cast<unsigned>(Balloon::shown(vm).statistics.count()));
     }},
    kBusKey<Balloon>,
    kRootPortKey<Balloon>,
};

inline constexpr VmOption kBalloonOption = {
    {"balloon", "[SIZE][,KEY[=VALUE]]...", "a device by which the guest gives memory back", false,
     false, true},
    kBalloon,
    Balloon::reset,
    &Balloon::kElements};

}  // namespace cxlvm::config
