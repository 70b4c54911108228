// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/virtio/block/block_device.hpp"
#include "vmm/config/vm_keys.hpp"

/// --disk, for the table of options.
namespace cxlvm::config {

using Disks = VmList<&VmConfig::disks>;

inline constexpr VmKey kDisk[] = {
    {{"path", Kind::Text, "FILE", {}, "raw image or block device; fd=N: a descriptor"},
     [](VmConfig& vm, const Value& value) { Disks::last(vm).disk.path = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Disks::shown(vm).disk.path); }},
    {{"readonly", Kind::Flag, {}, "off", "the guest may not write; other VMs may read it too"},
     [](VmConfig& vm, const Value& value) { Disks::last(vm).disk.read_only = parse_flag(value); },
     [](const VmConfig& vm) { return flag(Disks::shown(vm).disk.read_only); }},
    {{"direct", Kind::Flag, {}, "off", "past the host's page cache (O_DIRECT)"},
     [](VmConfig& vm, const Value& value) { Disks::last(vm).disk.direct = parse_flag(value); },
     [](const VmConfig& vm) { return flag(Disks::shown(vm).disk.direct); }},
    {{"queues", Kind::Number, "N", {}, "virtqueues; as many as vCPUs are of use"},
     [](VmConfig& vm, const Value& value) {
         Disks::last(vm).queues = parse_number(value, 1, virtio::block::BlockDevice::kMaxQueues);
     },
     [](const VmConfig& vm) { return number_unless_zero(Disks::shown(vm).queues); }},
    {{"id", Kind::Text, "TEXT", "none", "serial number that the guest sees, up to 20 bytes"},
     [](VmConfig& vm, const Value& value) { Disks::last(vm).id = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Disks::shown(vm).id); }},
    {{"rate", Kind::Size, "SIZE", "no limit", "bytes a second, read and written together"},
     [](VmConfig& vm, const Value& value) { Disks::last(vm).rates.bytes.rate = parse_size(value); },
     [](const VmConfig& vm) { return size_unless_zero(Disks::shown(vm).rates.bytes.rate); }},
    {{"rate-burst", Kind::Size, "SIZE", "rate's of 100 ms", "bytes at once, after a pause"},
     [](VmConfig& vm, const Value& value) {
         Disks::last(vm).rates.bytes.burst = parse_size(value);
     },
     [](const VmConfig& vm) { return size_unless_zero(Disks::shown(vm).rates.bytes.burst); }},
    {{"ops", Kind::Number, "N", "no limit", "requests a second, of whatever size"},
     [](VmConfig& vm, const Value& value) {
         Disks::last(vm).rates.operations.rate = parse_number(value, 1);
     },
     [](const VmConfig& vm) { return number_unless_zero(Disks::shown(vm).rates.operations.rate); }},
    {{"ops-burst", Kind::Number, "N", "ops' of 100 ms", "requests at once, after a pause"},
     [](VmConfig& vm, const Value& value) {
         Disks::last(vm).rates.operations.burst = parse_number(value, 1);
     },
     [](const VmConfig& vm) {
         return number_unless_zero(Disks::shown(vm).rates.operations.burst);
     }},
    kBusKey<Disks>,
    kRootPortKey<Disks>,
};

inline constexpr VmOption kDiskOption = {
    {"disk", "FILE[,KEY[=VALUE]]...", "a disk: a raw image or a block device", true},
    kDisk,
    Disks::reset,
    &Disks::kElements};

}  // namespace cxlvm::config
