// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "io/eventfd.hpp"
#include "io/operation.hpp"

// The concrete operations. Buffers, descriptors and addresses that are given to one must stay valid
// until it completes. Set the request while idle, then EventLoop::start.

namespace cxlvm::io {

/// Base of those that report to a Completion.
class CompletionOperation : public Operation {
  public:
    explicit CompletionOperation(Completion completion) noexcept : completion_(completion) {}

  protected:
    void complete(std::int32_t result, std::uint32_t flags, bool more) noexcept override {
        completion_(result, flags, more);
    }

  private:
    Completion completion_;
};

/// The file position where one reads on, for pipes, sockets and terminals.
inline constexpr std::uint64_t kCurrentPosition = ~std::uint64_t{0};

/// read(2) or pread(2). Result: bytes read, 0 at the end.
class ReadOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    ReadOp& set(int fd, std::span<std::byte> buffer,
                std::uint64_t offset = kCurrentPosition) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    int fd_ = -1;
    std::span<std::byte> buffer_;
    std::uint64_t offset_ = kCurrentPosition;
};

/// write(2) or pwrite(2). Result: bytes written, perhaps fewer than given.
class WriteOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    WriteOp& set(int fd, std::span<const std::byte> buffer,
                 std::uint64_t offset = kCurrentPosition) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    int fd_ = -1;
    std::span<const std::byte> buffer_;
    std::uint64_t offset_ = kCurrentPosition;
};

/// Waits for POLL* events; multishot: reports each time until cancelled.
class PollOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    PollOp& set(int fd, std::uint32_t events, bool multishot = false) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    int fd_ = -1;
    std::uint32_t events_ = 0;
    bool multishot_ = false;
};

/// The layout of the kernel's __kernel_timespec.
struct TimeSpec {
    std::int64_t seconds = 0;
    long long nanoseconds = 0;
};

/// A timer on CLOCK_MONOTONIC; a delay below zero is zero. Result: -ETIME when it expired.
class TimeoutOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    TimeoutOp& set(std::chrono::nanoseconds delay) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    TimeSpec delay_;
};

/// The second half of EventLoop::start_with_timeout. Result: -ETIME when it expired, -ECANCELED
/// when the operation ended first.
class LinkTimeoutOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    LinkTimeoutOp& set(std::chrono::nanoseconds delay) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    TimeSpec delay_;
};

/// accept(2) with SOCK_CLOEXEC; multishot. Result: a descriptor that the callee owns.
class AcceptOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;
    AcceptOp& set(int listener, bool multishot) noexcept;

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    int listener_ = -1;
    bool multishot_ = false;
};

/// Reads an EventFd again and again until cancelled, and calls `notify` for each wake-up; signals
/// that come together are one wake-up.
class WakeOp final : public Operation {
  public:
    WakeOp(EventLoop& loop, const EventFd& event, Task::Function notify, void* object) noexcept;
    /// `Method` is `void T::method() noexcept`.
    template <auto Method, typename T>
    [[nodiscard]] static WakeOp to(EventLoop& loop, const EventFd& event, T& object) noexcept {
        return WakeOp(
            loop, event, [](void* self) noexcept { (static_cast<T*>(self)->*Method)(); }, &object);
    }

  private:
    void prepare(io_uring_sqe& sqe) noexcept override;
    void complete(std::int32_t result, std::uint32_t flags, bool more) noexcept override;

    EventLoop& loop_;
    const EventFd& event_;
    Task::Function notify_;
    void* object_;
    std::uint64_t count_ = 0;
};

}  // namespace cxlvm::io
