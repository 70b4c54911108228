// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/virtio/spec.hpp"

/// What virtio 1.2 says of console devices (5.3).
namespace cxlvm::virtio::console {

/// Queues (5.3.2) of port 0.
inline constexpr std::uint16_t kReceiveQueue = 0;
inline constexpr std::uint16_t kTransmitQueue = 1;
inline constexpr std::uint16_t kQueues = 2;

// Feature bits (5.3.3).
inline constexpr std::uint64_t kFeatureSize = feature(0);
inline constexpr std::uint64_t kFeatureMultiport = feature(1);
inline constexpr std::uint64_t kFeatureEmergencyWrite = feature(2);

/// Configuration space (5.3.4).
struct Config {
    std::uint16_t columns;
    std::uint16_t rows;
    std::uint32_t max_ports;
    std::uint32_t emergency_write;
};
static_assert(sizeof(Config) == 12 && std::is_trivially_copyable_v<Config> &&
              std::has_unique_object_representations_v<Config>);

}  // namespace cxlvm::virtio::console
