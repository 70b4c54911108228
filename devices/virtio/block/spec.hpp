// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "devices/virtio/spec.hpp"

/// What virtio 1.2 says of block devices (5.2).
namespace cxlvm::virtio::block {

/// The unit of sector numbers and of the capacity, whatever the block size (5.2.4).
inline constexpr std::uint64_t kSectorSize = 512;

// Feature bits (5.2.3).
inline constexpr std::uint64_t kFeatureSizeMax = feature(1);
inline constexpr std::uint64_t kFeatureSegMax = feature(2);
inline constexpr std::uint64_t kFeatureReadOnly = feature(5);
inline constexpr std::uint64_t kFeatureBlockSize = feature(6);
inline constexpr std::uint64_t kFeatureFlush = feature(9);
inline constexpr std::uint64_t kFeatureTopology = feature(10);
inline constexpr std::uint64_t kFeatureConfigWce = feature(11);
inline constexpr std::uint64_t kFeatureMultiQueue = feature(12);
inline constexpr std::uint64_t kFeatureDiscard = feature(13);
inline constexpr std::uint64_t kFeatureWriteZeroes = feature(14);

/// Configuration space (5.2.4): offsets, the width of each in bytes behind it.
enum class Config : std::uint8_t {
    Capacity = 0,                 ///< 8, in sectors
    SizeMax = 8,                  ///< 4
    SegMax = 12,                  ///< 4
    Geometry = 16,                ///< 4
    BlockSize = 20,               ///< 4, in bytes
    Topology = 24,                ///< 8
    Writeback = 32,               ///< 1
    NumQueues = 34,               ///< 2
    MaxDiscardSectors = 36,       ///< 4
    MaxDiscardSeg = 40,           ///< 4
    DiscardSectorAlignment = 44,  ///< 4
    MaxWriteZeroesSectors = 48,   ///< 4
    MaxWriteZeroesSeg = 52,       ///< 4
    WriteZeroesMayUnmap = 56,     ///< 1
};
/// Bytes up to the fields of secure erase.
inline constexpr std::size_t kConfigSize = 60;

/// Types of requests (5.2.6).
enum class RequestType : std::uint32_t {
    In = 0,
    Out = 1,
    Flush = 4,
    GetId = 8,
    GetLifetime = 10,
    Discard = 11,
    WriteZeroes = 13,
    SecureErase = 14,
};

/// How a request ended (5.2.6).
enum class RequestStatus : std::uint8_t { Ok = 0, IoError = 1, Unsupported = 2 };

/// Begins every request (5.2.6).
struct RequestHeader {
    std::uint32_t type;
    std::uint32_t reserved;
    std::uint64_t sector;
};
static_assert(sizeof(RequestHeader) == 16 && std::is_trivially_copyable_v<RequestHeader> &&
              std::has_unique_object_representations_v<RequestHeader>);

/// Data of discard and write zeroes requests: one or more of these (5.2.6).
struct SectorRange {
    std::uint64_t sector;
    std::uint32_t sectors;
    std::uint32_t flags;
};
static_assert(sizeof(SectorRange) == 16 && std::is_trivially_copyable_v<SectorRange> &&
              std::has_unique_object_representations_v<SectorRange>);
inline constexpr std::uint32_t kRangeUnmap = 1U << 0;

/// Bytes of the answer to GetId, with zeros behind a shorter string (5.2.6).
inline constexpr std::size_t kIdSize = 20;

}  // namespace cxlvm::virtio::block
