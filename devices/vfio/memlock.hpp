// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace cxlvm::vfio {

/// How much memory this process may pin.
struct MemlockLimit {
    std::optional<std::uint64_t> bytes;  ///< RLIMIT_MEMLOCK; nothing: no limit
    bool exempt = false;                 ///< CAP_IPC_LOCK: the limit does not count
};

/// Of this process.
[[nodiscard]] MemlockLimit memlock_limit() noexcept;

/// Throws io::Error that says how to raise the limit when a guest with `ram` bytes of RAM, all of
/// which its devices reach and so get pinned, does not fit.
void check_memlock(const MemlockLimit& limit, std::uint64_t ram);

}  // namespace cxlvm::vfio
