// SPDX-License-Identifier: Apache-2.0
#include "io/socket_operation.hpp"

#include <liburing.h>

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm::io {

namespace {

/// UIO_MAXIOV.
constexpr std::size_t kMaxSegments = 1024;

}  // namespace

SocketOp& SocketOp::transfer(Kind kind, int fd, std::span<const iovec> segments,
                             Wait wait) noexcept {
    kind_ = kind;
    fd_ = fd;
    flags_ = MSG_NOSIGNAL | (wait == Wait::No ? MSG_DONTWAIT : 0);
    message_ = {};
    // The kernel does not write to the array.
    message_.msg_iov = const_cast<iovec*>(segments.data());
    message_.msg_iovlen = std::min(segments.size(), kMaxSegments);
    return *this;
}

SocketOp& SocketOp::send(int fd, std::span<const iovec> segments, Wait wait) noexcept {
    return transfer(Kind::Send, fd, segments, wait);
}

SocketOp& SocketOp::receive(int fd, std::span<const iovec> segments, Wait wait) noexcept {
    return transfer(Kind::Receive, fd, segments, wait);
}

SocketOp& SocketOp::connect(int fd, const sockaddr_un& address) noexcept {
    kind_ = Kind::Connect;
    fd_ = fd;
    address_ = &address;
    return *this;
}

void SocketOp::prepare(io_uring_sqe& sqe) noexcept {
    switch (kind_) {
        case Kind::Send:
            io_uring_prep_sendmsg(&sqe, fd_, &message_, flags_);
            return;
        case Kind::Receive:
            io_uring_prep_recvmsg(&sqe, fd_, &message_, flags_);
            return;
        case Kind::Connect:
            io_uring_prep_connect(&sqe, fd_, reinterpret_cast<const sockaddr*>(address_),
                                  sizeof(*address_));
            return;
        case Kind::None:
            break;
    }
    check(false, "an io::SocketOp was started before it was told what to do");
}

}  // namespace cxlvm::io
