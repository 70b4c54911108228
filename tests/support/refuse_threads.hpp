// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace cxlvm::test {

/// From now on the calling thread gets EAGAIN when it starts another, as where a limit is met. That
/// cannot be taken back: call it on a thread that is made for it. Whether it succeeded.
[[nodiscard]] inline bool refuse_threads() noexcept {
    constexpr auto kLoad = static_cast<std::uint16_t>(BPF_LD | BPF_W | BPF_ABS);
    constexpr auto kEqual = static_cast<std::uint16_t>(BPF_JMP | BPF_JEQ | BPF_K);
    constexpr auto kReturn = static_cast<std::uint16_t>(BPF_RET | BPF_K);
    std::array<sock_filter, 5> program{{
        {kLoad, 0, 0, offsetof(seccomp_data, nr)},
        {kEqual, 2, 0, SYS_clone3},
        {kEqual, 1, 0, SYS_clone},
        {kReturn, 0, 0, SECCOMP_RET_ALLOW},
        {kReturn, 0, 0, SECCOMP_RET_ERRNO | EAGAIN},
    }};
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace cxlvm::test
