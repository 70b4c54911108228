// SPDX-License-Identifier: Apache-2.0
#include "io/ring_internal.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <cerrno>

#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/io_uring_probe.hpp"

namespace cxlvm::io {

namespace {

constexpr std::uint32_t kMaxEntries = 32768;

/// What to ask io_uring_setup(2) for, the best first: an older kernel answers EINVAL.
constexpr unsigned kSetupFlags[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,                                                      // 6.1
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,  // 5.19
    0,                                                                                // 5.11
};

/// Aborts when `result`, of entering the kernel, is one that nobody can go on from.
void check_entered(int result) noexcept {
    switch (result) {
        case -EINTR:
        case -EBUSY:  // completions are to be reaped first
            break;
        case -EAGAIN:  // the kernel is short of memory: let others give some back
            sched_yield();
            break;
        default:
            // EBADR: the kernel had no memory to keep a completion, which is lost.
            check(result >= 0, "io_uring_enter failed");
    }
}

[[noreturn]] void fail(const char* name, int error) {
    throw Error({}, fmt::format("event loop {}: {}", name, explain_io_uring_failure(error)));
}

}  // namespace

UringHandle::UringHandle(std::uint32_t entries, const char* name) {
    if (!is_power_of_two(entries) || entries < 2 || entries > kMaxEntries) {
        throw_input(fmt::format("event loop {}: {} entries; it takes a power of two from 2 to {}",
                                name, entries, kMaxEntries));
    }
    int result = -EINVAL;
    io_uring_params parameters{};
    for (const unsigned flags : kSetupFlags) {
        parameters = {};
        parameters.flags =
            flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
        parameters.cq_entries = entries * 4;
        result = io_uring_queue_init_params(entries, &ring_, &parameters);
        if (result != -EINVAL) {
            break;
        }
    }
    if (result < 0) {
        fail(name, -result);
    }
    // Completions that find the queue full are kept, and a wait can have a limit.
    constexpr unsigned kRequired = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
    if ((parameters.features & kRequired) != kRequired) {
        io_uring_queue_exit(&ring_);
        fail(name, EINVAL);
    }
}

void UringHandle::enable() noexcept {
    // liburing 2.3 declares io_uring_enable_rings but does not export it.
    check(io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS,
                            nullptr, 0) == 0,
          "io_uring_register(ENABLE_RINGS) failed");
    enabled_ = true;
}

io_uring_sqe& UringHandle::next_entry() noexcept {
    io_uring_sqe& entry = *io_uring_get_sqe(&ring_);
    entry = {};
    return entry;
}

void UringHandle::enter(bool wait) noexcept {
    check_entered(io_uring_submit_and_wait(&ring_, wait ? 1 : 0));
}

bool UringHandle::enter_for(std::chrono::nanoseconds limit) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    __kernel_timespec time{.tv_sec = seconds.count(), .tv_nsec = (limit - seconds).count()};
    io_uring_cqe* first = nullptr;
    const int result = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &time, nullptr);
    if (result == -ETIME) {
        return false;
    }
    check_entered(result);
    return true;
}

CompletionEntry UringHandle::take_completion() noexcept {
    io_uring_cqe* entry = nullptr;
    check(io_uring_peek_cqe(&ring_, &entry) == 0, "the completion queue is empty");
    const CompletionEntry copy{entry->user_data, entry->res, entry->flags};
    io_uring_cqe_seen(&ring_, entry);
    return copy;
}

SigpipeBlock::SigpipeBlock() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &previous_);
}

SigpipeBlock::~SigpipeBlock() {
    if (sigismember(&previous_, SIGPIPE) == 1) {
        return;
    }
    const timespec at_once{};
    while (retry_eintr([&] { return sigtimedwait(&sigpipe_, nullptr, &at_once); }) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

}  // namespace cxlvm::io
