// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/boot/blake2b.hpp"

namespace cxlvm::boot {

// Which files of a KernelCache go: a pure function over a listing of its folder.

inline constexpr std::string_view kSealSuffix = ".seal";
inline constexpr std::string_view kRecordPrefix = "file-";

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kDay = kSecond * 3600 * 24;
/// A record that was not used for longer is removed.
inline constexpr std::int64_t kUnusedLimit = 90 * kDay;

/// One file of the folder.
struct CacheFile {
    std::string name;
    std::uint64_t size = 0;           ///< bytes
    std::int64_t modified = 0;        ///< ns since the epoch; of a record: when it was used last
    std::optional<Digest> payload{};  ///< of a record that could be read: the kernel it leads to
};

struct SweepConfig {
    std::int64_t now = 0;          ///< ns since the epoch
    std::uint64_t size_limit = 0;  ///< bytes of all kernels together
    Digest keep{};                 ///< of the kernel that was just stored: it stays
};

/// Names of the files to be removed: records that are too old, kernels that no record leads to
/// (after a day: the record comes later than the kernel), and, while the kernels are larger than
/// the limit together, those that were used longest ago, with their records. Files whose names are
/// not of the cache's making are left alone.
[[nodiscard]] std::vector<std::string> files_to_remove(std::span<const CacheFile> files,
                                                       const SweepConfig& config);

}  // namespace cxlvm::boot
