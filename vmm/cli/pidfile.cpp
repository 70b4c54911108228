// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/pidfile.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>

#include "io/error.hpp"
#include "io/open_error.hpp"

namespace cxlvm::cli {

namespace {

/// What the file says: nothing for an empty one. Throws when it says something else than a number.
std::optional<pid_t> read_pid(const io::Fd& file, const std::string& path) {
    std::array<char, 32> buffer{};
    const ssize_t size = ::pread(file.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) {
        io::throw_errno("--pidfile: cannot read " + path, io::Fault::Input);
    }
    if (size == 0) {
        return std::nullopt;
    }
    const char* const end = buffer.data() + size;
    pid_t pid = 0;
    const auto [rest, error] = std::from_chars(buffer.data(), end, pid);
    if (error != std::errc() || std::string_view(rest, end) != "\n") {
        io::throw_input(fmt::format(
            "--pidfile: {}: holds something else than a process id; give another file", path));
    }
    return pid;
}

/// Whether `path` still names the file that is open: its last owner may have removed it between
/// our open and our lock.
bool is_still_named(const io::Fd& file, const std::string& path) {
    struct stat opened {};
    struct stat named {};
    return ::fstat(file.get(), &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

io::Fd lock_file(const std::string& path) {
    for (;;) {
        io::Fd file =
            io::open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0644, "--pidfile");
        struct stat status {};
        if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
            io::throw_input(fmt::format("--pidfile: {}: not an ordinary file; give another", path));
        }
        if (io::retry_eintr([&] { return ::flock(file.get(), LOCK_EX | LOCK_NB); }) != 0) {
            if (errno != EWOULDBLOCK) {
                const int error = errno;
                io::throw_input(
                    fmt::format("--pidfile: {}: cannot be locked ({}); give a path on "
                                "a file system that has locks",
                                path, io::errno_text(error)));
            }
            const std::optional<pid_t> owner = read_pid(file, path);
            io::throw_input(fmt::format(
                "--pidfile: {}: held by a running process{}; end it or give another file", path,
                owner ? fmt::format(" ({})", *owner) : ""));
        }
        if (is_still_named(file, path)) {
            return file;
        }
    }
}

}  // namespace

Pidfile::Pidfile(const std::string& path)
    : path_(path), file_(lock_file(path)), stale_owner_(read_pid(file_, path)) {
    const std::string text = fmt::format("{}\n", ::getpid());
    if (::ftruncate(file_.get(), 0) != 0 ||
        ::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        const int error = errno;
        ::unlink(path_.c_str());
        io::throw_open_error(error, {.path = path_,
                                     .purpose = io::OpenPurpose::Write,
                                     .option = "--pidfile",
                                     .action = "write"});
    }
}

Pidfile::~Pidfile() {
    // While the lock is held: nobody else can have taken the name over.
    ::unlink(path_.c_str());
}

}  // namespace cxlvm::cli
