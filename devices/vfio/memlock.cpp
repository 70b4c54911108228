// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/memlock.hpp"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

[[nodiscard]] bool may_lock_any_amount() noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) {
        return false;
    }
    return (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

}  // namespace

MemlockLimit memlock_limit() noexcept {
    rlimit limit{};
    MemlockLimit result{.bytes = std::nullopt, .exempt = may_lock_any_amount()};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        result.bytes = limit.rlim_cur;
    }
    return result;
}

void check_memlock(const MemlockLimit& limit, std::uint64_t ram) {
    if (limit.exempt || !limit.bytes || *limit.bytes >= ram) {
        return;
    }
    constexpr std::uint64_t kMiB = 1U << 20;
    throw io::Error(
        std::error_code(ENOMEM, std::generic_category()),
        io::Error::Whole{fmt::format(
            "--device: a passed device reaches all of the guest's memory, so its {} MiB have to be "
            "pinned, and the limit for that is {} MiB; raise it: ulimit -l {} (as root, or in "
            "/etc/security/limits.conf), LimitMEMLOCK=infinity in a systemd unit",
            ram / kMiB, *limit.bytes / kMiB, ram / 1024 + 1024)},
        io::Fault::Host);
}

}  // namespace cxlvm::vfio
