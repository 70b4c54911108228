// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace cxlvm::io {

/// What this process may do with io_uring.
struct IoUringSupport {
    bool available = false;  ///< an EventLoop can be made
    std::string problem;     ///< why not, and the remedy, in one line; empty when available
    int error = 0;           ///< the errno behind it: io_uring_setup(2)'s, or EINVAL for a kernel
                             ///< that lacks a feature which every EventLoop needs

    // Features that an EventLoop uses when they exist (with the kernel version that brought them).
    bool submit_all = false;         ///< 5.18
    bool single_issuer = false;      ///< 6.0
    bool deferred_task_run = false;  ///< 6.1
    bool multishot_accept = false;   ///< 5.19
};

/// Sets up small rings and closes them again. Does not throw.
[[nodiscard]] IoUringSupport probe_io_uring();

/// The sysctl kernel.io_uring_disabled: 0, 1 (privileged processes only) or 2 (nobody). Nothing on
/// kernels before 6.6, which do not have it.
[[nodiscard]] std::optional<int> read_io_uring_disabled();

/// One line about a failed io_uring_setup(2): cause and remedy. `error` is a positive errno,
/// `disabled` the sysctl, `memlock` the soft RLIMIT_MEMLOCK in bytes.
[[nodiscard]] std::string explain_io_uring_failure(int error, std::optional<int> disabled,
                                                   unsigned long long memlock);
/// As above, with this process's own sysctl and limit.
[[nodiscard]] std::string explain_io_uring_failure(int error);

}  // namespace cxlvm::io
