// SPDX-License-Identifier: Apache-2.0
#include "io/fd.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/error.hpp"

namespace cxlvm::io {

void Fd::reset(int fd) noexcept {
    if (fd_ >= 0) {
        // Linux frees the number even when close reports EINTR: never retry.
        ::close(fd_);
    }
    fd_ = fd < 0 ? -1 : fd;
}

Fd Fd::duplicate() const {
    const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        throw_errno("fcntl(F_DUPFD_CLOEXEC)");
    }
    return Fd(copy);
}

Fd open_file(const std::string& path, int flags, unsigned mode) {
    const int fd = retry_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
    if (fd < 0) {
        const bool host = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO;
        throw_errno("cannot open " + path, host ? Fault::Host : Fault::Input);
    }
    return Fd(fd);
}

std::uint64_t file_size(const Fd& fd, const std::string& what) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        throw_errno("fstat " + what);
    }
    if (S_ISBLK(status.st_mode)) {
        std::uint64_t bytes = 0;
        if (::ioctl(fd.get(), BLKGETSIZE64, &bytes) != 0) {
            throw_errno("BLKGETSIZE64 " + what);
        }
        return bytes;
    }
    if (!S_ISREG(status.st_mode)) {
        throw_input(what + ": not a regular file or block device");
    }
    return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace cxlvm::io
