// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What virtio 1.2 says of entropy devices (5.4): no feature bits (5.4.3), no configuration space
/// (5.4.4).
namespace cxlvm::virtio::entropy {

/// Queues (5.4.2).
inline constexpr std::uint16_t kRequestQueue = 0;
inline constexpr std::uint16_t kQueues = 1;

}  // namespace cxlvm::virtio::entropy
