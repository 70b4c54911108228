// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/operations.hpp"

namespace cxlvm::io {

/// What is done with a regular file or block device: one operation for all of it, so that whoever
/// keeps many requests in flight needs one pool of them.
class FileOp final : public CompletionOperation {
  public:
    using CompletionOperation::CompletionOperation;

    /// Segments of one request that the kernel takes; of more, the first so many are transferred.
    static constexpr std::size_t kMaxSegments = 1024;

    /// preadv(2) and pwritev(2). The array of segments, too, must stay valid until completion.
    /// Result: bytes moved, perhaps fewer than given; 0 at the end of the file.
    FileOp& read(int fd, std::span<const iovec> segments, std::uint64_t offset) noexcept;
    FileOp& write(int fd, std::span<const iovec> segments, std::uint64_t offset) noexcept;
    /// fdatasync(2): everything that was written and had completed before this was started.
    FileOp& sync(int fd) noexcept;
    /// fallocate(2) with `mode`, FALLOC_FL_*.
    FileOp& allocate(int fd, int mode, std::uint64_t offset, std::uint64_t size) noexcept;

  private:
    enum class Kind : std::uint8_t { None, Read, Write, Sync, Allocate };

    void prepare(io_uring_sqe& sqe) noexcept override;
    FileOp& transfer(Kind kind, int fd, std::span<const iovec> segments,
                     std::uint64_t offset) noexcept;

    Kind kind_ = Kind::None;
    int fd_ = -1;
    int mode_ = 0;
    std::span<const iovec> segments_;
    std::uint64_t offset_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace cxlvm::io
