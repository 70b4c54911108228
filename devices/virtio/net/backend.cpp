// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/backend.hpp"

#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>

#include "devices/virtio/net/passt.hpp"
#include "devices/virtio/net/tap.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

void check_backend(const NetConfig& config) {
    const int given = (config.tap.empty() ? 0 : 1) + (config.fds.empty() ? 0 : 1) +
                      (config.passt.has_value() ? 1 : 0);
    if (given != 1) {
        io::throw_input(
            "--net: say what the network is connected to, by one of tap=NAME, fd=N and passt");
    }
    if (config.tap.size() >= IFNAMSIZ) {
        io::throw_input(fmt::format("--net: tap={}: an interface's name has at most {} characters",
                                    config.tap, IFNAMSIZ - 1));
    }
    // What the kernel refuses in a name, and the % that it would replace by a number.
    if (config.tap == "." || config.tap == ".." ||
        config.tap.find_first_of("/%: \t\n\v\f\r") != std::string::npos) {
        io::throw_input(fmt::format("--net: tap={}: no name of an interface", config.tap));
    }
}

void check_queues(const NetConfig& config) {
    if (config.queues > kMaxPairs || config.fds.size() > kMaxPairs) {
        io::throw_input(fmt::format("--net: queues={}: give 1 to {}",
                                    std::max<std::size_t>(config.queues, config.fds.size()),
                                    kMaxPairs));
    }
    if (config.passt && config.queues > 1) {
        io::throw_input(
            fmt::format("--net: queues={}: passt has one; leave queues out", config.queues));
    }
    if (!config.fds.empty() && config.queues != 0 && config.fds.size() != config.queues) {
        io::throw_input(
            fmt::format("--net: queues={}: {} descriptors were given; give one for "
                        "each, fd=N:N",
                        config.queues, config.fds.size()));
    }
}

void check_vhost(const NetConfig& config) {
    if (config.passt && config.uses_vhost()) {
        io::throw_input("--net: vhost: passt is no tap; leave one of the two out");
    }
    const std::size_t pairs = config.fds.empty() ? std::max(config.queues, 1U) : config.fds.size();
    if (!config.vhost_fds.empty() && config.vhost_fds.size() != pairs) {
        io::throw_input(
            fmt::format("--net: vhost-fd: {} descriptors were given for {} pairs of queues; give "
                        "one for each, vhost-fd=N:N",
                        config.vhost_fds.size(), pairs));
    }
}

}  // namespace

void check(const NetConfig& config) {
    check_backend(config);
    check_queues(config);
    check_vhost(config);
    if (config.mac && !config.mac->usable()) {
        io::throw_input(fmt::format(
            "--net: mac={}: a group's address or none; give one such as 02:00:00:00:00:01",
            to_string(*config.mac)));
    }
    if (config.mtu != 0 && config.mtu < kMinMtu) {
        io::throw_input(fmt::format("--net: mtu={}: give {} to {}", config.mtu, kMinMtu, kMaxMtu));
    }
}

std::unique_ptr<Backend> open_backend(const NetConfig& config) {
    if (config.passt) {
        return std::make_unique<Passt>(*config.passt, config.mtu);
    }
    if (!config.fds.empty()) {
        return std::make_unique<Tap>(config.fds);
    }
    return std::make_unique<Tap>(config.tap, std::max(config.queues, 1U), config.mtu);
}

}  // namespace cxlvm::virtio::net
