// SPDX-License-Identifier: Apache-2.0
#include "io/file_operation.hpp"

#include <liburing.h>

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm::io {

FileOp& FileOp::transfer(Kind kind, int fd, std::span<const iovec> segments,
                         std::uint64_t offset) noexcept {
    kind_ = kind;
    fd_ = fd;
    segments_ = segments.first(std::min(segments.size(), kMaxSegments));
    offset_ = offset;
    return *this;
}

FileOp& FileOp::read(int fd, std::span<const iovec> segments, std::uint64_t offset) noexcept {
    return transfer(Kind::Read, fd, segments, offset);
}

FileOp& FileOp::write(int fd, std::span<const iovec> segments, std::uint64_t offset) noexcept {
    return transfer(Kind::Write, fd, segments, offset);
}

FileOp& FileOp::sync(int fd) noexcept {
    kind_ = Kind::Sync;
    fd_ = fd;
    return *this;
}

FileOp& FileOp::allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) noexcept {
    kind_ = Kind::Allocate;
    fd_ = fd;
    mode_ = mode;
    offset_ = offset;
    size_ = size;
    return *this;
}

void FileOp::prepare(io_uring_sqe& sqe) noexcept {
    const auto count = static_cast<unsigned>(segments_.size());
    switch (kind_) {
        case Kind::Read:
            io_uring_prep_readv(&sqe, fd_, segments_.data(), count, offset_);
            return;
        case Kind::Write:
            io_uring_prep_writev(&sqe, fd_, segments_.data(), count, offset_);
            return;
        case Kind::Sync:
            io_uring_prep_fsync(&sqe, fd_, IORING_FSYNC_DATASYNC);
            return;
        case Kind::Allocate:
            io_uring_prep_fallocate(&sqe, fd_, mode_, static_cast<off_t>(offset_),
                                    static_cast<off_t>(size_));
            return;
        case Kind::None:
            break;
    }
    check(false, "an io::FileOp was started before it was told what to do");
}

}  // namespace cxlvm::io
