// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/operations.hpp"

namespace cxlvm::io {

/// What is done with a connected stream socket, or one to be connected: one operation for all of
/// it, so that a pool of connections has a fixed number of them.
class SocketOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;

    /// Whether an operation that cannot go on waits until it can, or ends with -EAGAIN.
    enum class Wait : std::uint8_t { Yes, No };

    /// sendmsg(2) and recvmsg(2). The array of segments, too, must stay valid until completion.
    /// Result: bytes moved, perhaps fewer than given; 0 at the end of what the peer sends.
    SocketOp& send(int fd, std::span<const iovec> segments, Wait wait) noexcept;
    SocketOp& receive(int fd, std::span<const iovec> segments, Wait wait) noexcept;
    /// connect(2) of a unix socket. A peer whose backlog is full is waited for, unless the
    /// descriptor is O_NONBLOCK.
    SocketOp& connect(int fd, const sockaddr_un& address) noexcept;

  private:
    enum class Kind : std::uint8_t { None, Send, Receive, Connect };

    void prepare(io_uring_sqe& sqe) noexcept override;
    SocketOp& transfer(Kind kind, int fd, std::span<const iovec> segments, Wait wait) noexcept;

    Kind kind_ = Kind::None;
    unsigned flags_ = 0;
    int fd_ = -1;
    msghdr message_{};
    const sockaddr_un* address_ = nullptr;
};

}  // namespace cxlvm::io
