// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/pci_place.hpp"
#include "devices/virtio/net/mac_address.hpp"

namespace cxlvm::virtio::net {

inline constexpr unsigned kMaxPairs = 16;

/// What a network device is connected to, one of the first three, and how the guest sees it.
struct NetConfig {
    /// A tap interface by its name; it is made when there is none.
    std::string tap{};
    /// A tap that somebody else has opened: a descriptor for each pair of queues.
    std::vector<int> fds{};
    /// The path of the socket of a passt(1) that runs; an empty one starts it.
    std::optional<std::string> passt{};

    std::optional<MacAddress> mac{};  ///< a random one when it is not given
    std::uint16_t mtu = 0;            ///< in bytes, kMinMtu to kMaxMtu; 0: that of the tap
    /// Pairs of queues, up to kMaxPairs; more than 1 for taps alone. 0: one, or one a descriptor.
    unsigned queues = 0;

    /// The kernel moves the frames of a tap. It does so, too, when there are descriptors.
    bool vhost = false;
    /// Opened from /dev/vhost-net by somebody else, one for each pair of queues.
    std::vector<int> vhost_fds{};
    [[nodiscard]] bool uses_vhost() const noexcept { return vhost || !vhost_fds.empty(); }

    PciPlace place{};  ///< for the machine
};

/// Throws Error (Input) naming --net for what is missing, out of range, or does not go together.
void check(const NetConfig& config);

}  // namespace cxlvm::virtio::net
