// SPDX-License-Identifier: Apache-2.0
#include "io/fd.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <system_error>

#include "io/error.hpp"
#include "io/open_error.hpp"

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

namespace {

const char* describe(mode_t mode) noexcept {
    switch (mode & S_IFMT) {
        case S_IFDIR:
            return "a folder";
        case S_IFIFO:
            return "a pipe";
        case S_IFSOCK:
            return "a socket";
        case S_IFCHR:
        case S_IFBLK:
            return "a device";
        default:
            return "not a file";
    }
}

/// What messages begin with.
std::string prefix_of(std::string_view option) {
    return option.empty() ? std::string() : std::string(option) + ": ";
}

}  // namespace

Fd open_file(const std::string& path, int flags, unsigned mode, std::string_view option) {
    const int fd = retry_eintr([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
    if (fd < 0) {
        const bool reads = (flags & O_ACCMODE) == O_RDONLY;
        throw_open_error(errno, {.path = path,
                                 .purpose = reads ? OpenPurpose::Read : OpenPurpose::Write,
                                 .option = option});
    }
    return Fd(fd);
}

std::optional<Fd> open_descriptor(std::string_view path, const std::string& what) {
    constexpr std::string_view kPrefix = "fd=";
    if (!path.starts_with(kPrefix)) {
        return std::nullopt;
    }
    int number = -1;
    const char* const end = path.data() + path.size();
    const auto parsed = std::from_chars(path.data() + kPrefix.size(), end, number);
    if (parsed.ec != std::errc{} || parsed.ptr != end || number < 0) {
        throw_input(what + ": fd= takes the number of an open descriptor");
    }
    Fd copy(::fcntl(number, F_DUPFD_CLOEXEC, 0));
    if (!copy) {
        if (errno == EBADF) {
            throw_input(what +
                        ": no such descriptor is open; open it for cxlvm, as the shell does " +
                        "with " + std::to_string(number) + "<FILE");
        }
        throw_errno(what);
    }
    return copy;
}

void require_regular_file(const Fd& fd, const std::string& what) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        throw_errno("fstat " + what);
    }
    if (!S_ISREG(status.st_mode)) {
        throw_input(what + ": is " + describe(status.st_mode) + "; give a regular file");
    }
}

Fd open_regular_file(const std::string& path, std::string_view option) {
    Fd file = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, option);
    require_regular_file(file, prefix_of(option) + path);
    return file;
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
