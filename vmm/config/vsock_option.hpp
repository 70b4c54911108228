// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vmm/config/vm_keys.hpp"

/// --vsock, for the table of options.
namespace cxlvm::config {

using Vsock = VmOptional<&VmConfig::vsock>;

[[nodiscard]] inline virtio::vsock::VsockConfig& vsock_of(VmConfig& vm) {
    return vm.vsock ? *vm.vsock : vm.vsock.emplace();
}

inline constexpr VmKey kVsock[] = {
    {{"cid", Kind::Number, "N", {}, "the guest's context identifier, 3 or more"},
     [](VmConfig& vm, const Value& value) {
         vsock_of(vm).cid =
             parse_number(value, virtio::vsock::kMinGuestCid, virtio::vsock::kMaxGuestCid);
     },
     [](const VmConfig& vm) { return number_unless_zero(vm.vsock ? vm.vsock->cid : 0); }},
    {{"path", Kind::Text, "SOCKET", {}, "unix socket for the host's clients"},
     [](VmConfig& vm, const Value& value) { vsock_of(vm).path = parse_text(value); },
     [](const VmConfig& vm) { return vm.vsock ? text_unless_empty(vm.vsock->path) : Texts{}; }},
    kBusKey<Vsock>,
    kRootPortKey<Vsock>,
};

inline constexpr VmOption kVsockOption = {
    {"vsock", "cid=N,path=SOCKET[,KEY[=VALUE]]...", "sockets between the guest and the host"},
    kVsock,
    Vsock::reset,
    &Vsock::kElements};

}  // namespace cxlvm::config
