// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/virtio/net/spec.hpp"
#include "vmm/config/vm_keys.hpp"

/// --net, for the table of options.
namespace cxlvm::config {

using Nets = VmList<&VmConfig::nets>;

/// Numbers with colons between them.
[[nodiscard]] inline std::vector<int> parse_descriptors(const Value& value) {
    std::vector<int> fds;
    std::string_view rest = value.text;
    while (true) {
        const std::size_t colon = rest.find(':');
        const Value number{value.where, value.key, rest.substr(0, colon)};
        fds.push_back(static_cast<int>(parse_number(number, 0, std::numeric_limits<int>::max())));
        if (colon == std::string_view::npos) {
            return fds;
        }
        rest.remove_prefix(colon + 1);
    }
}

[[nodiscard]] inline Texts descriptors(const std::vector<int>& fds) {
    return fds.empty() ? Texts{} : Texts{fmt::format("{}", fmt::join(fds, ":"))};
}

inline constexpr VmKey kNet[] = {
    {{"passt", Kind::Flag, {}, "off", "a passt that is started: needs no rights and no set-up"},
     [](VmConfig& vm, const Value& value) {
         auto& passt = Nets::last(vm).passt;
         if (parse_flag(value) && !passt) {
             passt.emplace();
         }
     },
     [](const VmConfig& vm) { return flag(Nets::shown(vm).passt.has_value()); }},
    {{"socket", Kind::Text, "PATH", "none", "the socket of a passt that runs"},
     [](VmConfig& vm, const Value& value) { Nets::last(vm).passt = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Nets::shown(vm).passt.value_or("")); }},
    {{"tap", Kind::Text, "NAME", "none", "a tap interface; it is made when there is none"},
     [](VmConfig& vm, const Value& value) { Nets::last(vm).tap = parse_text(value); },
     [](const VmConfig& vm) { return text_unless_empty(Nets::shown(vm).tap); }},
    {{"fd", Kind::Text, "N[:N]...", "none", "descriptors of a tap's queues"},
     [](VmConfig& vm, const Value& value) { Nets::last(vm).fds = parse_descriptors(value); },
     [](const VmConfig& vm) { return descriptors(Nets::shown(vm).fds); }},
    {{"mac", Kind::Text, "ADDRESS", "a random one", "that the guest has, as in 02:00:00:00:00:01"},
     [](VmConfig& vm, const Value& value) {
         Nets::last(vm).mac = virtio::net::parse_mac(value.text);
         if (!Nets::last(vm).mac) {
             reject(value, "give six bytes of two hexadecimal digits, with colons between them");
         }
     },
     [](const VmConfig& vm) {
         const auto mac = Nets::shown(vm).mac;
         return mac ? Texts{to_string(*mac)} : Texts{};
     }},
    {{"mtu", Kind::Number, "N", "that of the tap", "bytes of the longest packet"},
     [](VmConfig& vm, const Value& value) {
         Nets::last(vm).mtu = static_cast<std::uint16_t>(
             parse_number(value, virtio::net::kMinMtu, virtio::net::kMaxMtu));
     },
     [](const VmConfig& vm) { return number_unless_zero(Nets::shown(vm).mtu); }},
    {{"queues", Kind::Number, "N", "one", "pairs of queues of a tap; as many as vCPUs are of use"},
     [](VmConfig& vm, const Value& value) {
         Nets::last(vm).queues = parse_number(value, 1, virtio::net::kMaxPairs);
     },
     [](const VmConfig& vm) { return number_unless_zero(Nets::shown(vm).queues); }},
    {{"vhost", Kind::Flag, {}, "off", "the kernel moves the frames of a tap, by /dev/vhost-net"},
     [](VmConfig& vm, const Value& value) { Nets::last(vm).vhost = parse_flag(value); },
     [](const VmConfig& vm) { return flag(Nets::shown(vm).vhost); }},
    {{"vhost-fd", Kind::Text, "N[:N]...", "none",
      "the same, by descriptors of /dev/vhost-net, one a pair"},
     [](VmConfig& vm, const Value& value) { Nets::last(vm).vhost_fds = parse_descriptors(value); },
     [](const VmConfig& vm) { return descriptors(Nets::shown(vm).vhost_fds); }},
    kBusKey<Nets>,
    kRootPortKey<Nets>,
};

inline constexpr VmOption kNetOption = {
    {"net", "KEY[=VALUE][,KEY[=VALUE]]...", "a network device: on a tap, or on passt", true},
    kNet,
    Nets::reset,
    &Nets::kElements};

}  // namespace cxlvm::config
