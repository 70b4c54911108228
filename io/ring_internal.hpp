// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <liburing.h>
#include <signal.h>

#include <chrono>
#include <cstdint>

namespace cxlvm::io {

/// One entry of the completion queue. Not io_uring_cqe, whose flexible array forbids copies.
struct CompletionEntry {
    std::uint64_t user_data;
    std::int32_t result;
    std::uint32_t flags;
};

/// Owner of one io_uring: its descriptor, its memory, and how to enter the kernel with it.
class UringHandle {
  public:
    /// Throws Error that says how to make io_uring usable; `name` is the loop's.
    UringHandle(std::uint32_t entries, const char* name);
    UringHandle(const UringHandle&) = delete;
    UringHandle& operator=(const UringHandle&) = delete;
    ~UringHandle() { io_uring_queue_exit(&ring_); }

    /// The ring starts disabled; the thread that enables it is the one that may submit.
    void enable() noexcept;
    [[nodiscard]] bool enabled() const noexcept { return enabled_; }

    [[nodiscard]] unsigned free_entries() const noexcept { return io_uring_sq_space_left(&ring_); }
    /// A cleared submission entry; there must be a free one.
    [[nodiscard]] io_uring_sqe& next_entry() noexcept;
    /// Submits without waiting. False: the kernel cannot take more before completions are reaped.
    [[nodiscard]] bool submit() noexcept { return io_uring_submit(&ring_) > 0; }
    /// Submits, lets the kernel deliver what is ready and, if asked to, waits for a completion.
    void enter(bool wait) noexcept;
    /// As enter(true) with a limit. False: the limit passed.
    [[nodiscard]] bool enter_for(std::chrono::nanoseconds limit) noexcept;

    [[nodiscard]] unsigned ready() const noexcept { return io_uring_cq_ready(&ring_); }
    /// Takes one completion out of the queue, which must not be empty.
    [[nodiscard]] CompletionEntry take_completion() noexcept;

  private:
    io_uring ring_{};
    bool enabled_ = false;
};

/// Turns SIGPIPE of the calling thread into a plain EPIPE. io_uring performs many writes right in
/// the submitting thread, and its WRITE has no MSG_NOSIGNAL.
class SigpipeBlock {
  public:
    SigpipeBlock() noexcept;
    SigpipeBlock(const SigpipeBlock&) = delete;
    SigpipeBlock& operator=(const SigpipeBlock&) = delete;
    ~SigpipeBlock();

  private:
    sigset_t sigpipe_{};
    sigset_t previous_{};
};

}  // namespace cxlvm::io
