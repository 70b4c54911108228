// SPDX-License-Identifier: Apache-2.0
#include "io/io_uring_probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "io/error.hpp"
#include "io/fd.hpp"

namespace cxlvm::io {

namespace {

/// 0 or a negative errno.
int try_setup(unsigned flags, unsigned& features) noexcept {
    io_uring_params parameters{};
    parameters.flags = flags;
    const int ring = io_uring_setup(2, &parameters);
    if (ring < 0) {
        return ring;
    }
    ::close(ring);
    features = parameters.features;
    return 0;
}

bool accepts(unsigned flags) noexcept {
    unsigned features = 0;
    return try_setup(flags, features) == 0;
}

}  // namespace

std::optional<int> read_io_uring_disabled() {
    const Fd file(::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC));
    std::array<char, 16> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    int value = 0;
    if (size <= 0 || std::from_chars(text.data(), text.data() + size, value).ec != std::errc{}) {
        return std::nullopt;
    }
    return value;
}

std::string explain_io_uring_failure(int error, std::optional<int> disabled,
                                     unsigned long long memlock) {
    std::string cause =
        fmt::format("io_uring is not usable ({})", std::generic_category().message(error));
    if (disabled.value_or(0) == 1 && error == EPERM) {
        return cause +
               ": kernel.io_uring_disabled is 1, which keeps it for privileged processes "
               "and the group kernel.io_uring_group; enable it with "
               "\"sysctl kernel.io_uring_disabled=0\" or join that group";
    }
    if (disabled.value_or(0) != 0 && error == EPERM) {
        return cause + fmt::format(
                           ": kernel.io_uring_disabled is {}; enable it with "
                           "\"sysctl kernel.io_uring_disabled=0\"",
                           *disabled);
    }
    switch (error) {
        case EPERM:
        case EACCES:
            return cause +
                   ": a seccomp filter or security policy forbids it (a container's "
                   "default profile, for instance); allow io_uring_setup, io_uring_enter "
                   "and io_uring_register, and see that kernel.io_uring_disabled is 0";
        case ENOSYS:
            return cause +
                   ": the kernel has no io_uring, or a seccomp filter hides it; it takes "
                   "Linux 5.11 or newer with CONFIG_IO_URING=y";
        case ENOMEM:
            return cause + fmt::format(
                               ": not enough memory, or the limit of locked memory "
                               "(RLIMIT_MEMLOCK) of {} KiB is used up; raise it with "
                               "\"ulimit -l\"",
                               memlock / 1024);
        case EMFILE:
        case ENFILE:
            return cause + ": raise the limit of open files (\"ulimit -n\")";
        case EINVAL:
            return cause + ": the kernel is too old; it takes Linux 5.11 or newer";
        default:
            return cause;
    }
}

std::string explain_io_uring_failure(int error) {
    rlimit limit{};
    (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
    return explain_io_uring_failure(error, read_io_uring_disabled(), limit.rlim_cur);
}

IoUringSupport probe_io_uring() {
    IoUringSupport support;
    unsigned features = 0;
    if (const int error = try_setup(IORING_SETUP_R_DISABLED, features); error != 0) {
        support.error = -error;
        support.problem = explain_io_uring_failure(support.error);
        return support;
    }
    constexpr unsigned kRequired = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    if ((features & kRequired) != kRequired) {
        support.error = EINVAL;
        support.problem = explain_io_uring_failure(support.error);
        return support;
    }
    support.available = true;
    support.submit_all = accepts(IORING_SETUP_SUBMIT_ALL);
    support.single_issuer = accepts(IORING_SETUP_SINGLE_ISSUER);
    support.deferred_task_run = accepts(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    // No flag tells; it came with IORING_SETUP_COOP_TASKRUN.
    support.multishot_accept = accepts(IORING_SETUP_COOP_TASKRUN);
    return support;
}

}  // namespace cxlvm::io
