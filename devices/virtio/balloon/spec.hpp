// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/virtio/spec.hpp"

/// What virtio 1.2 says of traditional memory balloon devices (5.5).
namespace cxlvm::virtio::balloon {

/// Whatever the guest's own pages are (5.5.6): the unit of page numbers and of the target.
inline constexpr unsigned kPageShift = 12;
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;

/// Queues (5.5.2). The last three exist with their features alone.
inline constexpr std::uint16_t kInflateQueue = 0;
inline constexpr std::uint16_t kDeflateQueue = 1;
inline constexpr std::uint16_t kStatisticsQueue = 2;
inline constexpr std::uint16_t kFreePageQueue = 3;
inline constexpr std::uint16_t kReportingQueue = 4;
inline constexpr std::uint16_t kMaxQueues = 5;

// Feature bits (5.5.3).
inline constexpr std::uint64_t kFeatureMustTellHost = feature(0);
inline constexpr std::uint64_t kFeatureStatistics = feature(1);
inline constexpr std::uint64_t kFeatureDeflateOnOom = feature(2);
inline constexpr std::uint64_t kFeatureFreePageHint = feature(3);
inline constexpr std::uint64_t kFeaturePagePoison = feature(4);
inline constexpr std::uint64_t kFeatureReporting = feature(5);

// Configuration space (5.5.4) up to the fields of free page hints: offsets of 4 bytes each.
inline constexpr std::size_t kConfigNumPages = 0;
inline constexpr std::size_t kConfigActual = 4;
inline constexpr std::size_t kConfigSize = 8;

/// Tags of memory statistics (5.5.6.4). Amounts of memory are in bytes.
enum class Statistic : std::uint16_t {
    SwapIn = 0,
    SwapOut = 1,
    MajorFaults = 2,
    MinorFaults = 3,
    FreeMemory = 4,
    TotalMemory = 5,
    AvailableMemory = 6,
    DiskCaches = 7,
    HugePageAllocations = 8,
    HugePageFailures = 9,
};
inline constexpr std::size_t kStatistics = 10;

/// One of them, as the driver lists them (5.5.6.3), without padding: a tag, then a value.
inline constexpr std::size_t kStatisticTag = 0;
inline constexpr std::size_t kStatisticValue = 2;
inline constexpr std::size_t kStatisticSize = 10;

}  // namespace cxlvm::virtio::balloon
