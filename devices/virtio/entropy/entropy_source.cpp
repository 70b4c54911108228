// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/entropy/entropy_source.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <utility>

#include "io/error.hpp"

namespace cxlvm::virtio::entropy {

namespace {

constexpr const char* kOption = "--rng";

io::Fd open_source(const std::string& path) {
    const std::string name = std::string(kOption) + ": " + path;
    if (auto copy = io::open_descriptor(path, name)) {
        const int flags = ::fcntl(copy->get(), F_GETFL);
        if ((flags & O_ACCMODE) == O_WRONLY) {
            io::throw_input(name + ": the descriptor cannot be read");
        }
        // Not ours to change: the flag is that of the open file, which others may have too.
        if ((flags & O_NONBLOCK) != 0) {
            io::throw_input(name + ": the descriptor does not wait; open it without O_NONBLOCK");
        }
        return std::move(*copy);
    }
    // Without waiting, should it be a modem. Not for long: with the flag a device that has no bytes
    // yet would report EAGAIN.
    io::Fd file = io::open_file(path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0, kOption);
    if (::fcntl(file.get(), F_SETFL, 0) != 0) {
        io::throw_errno(name + ": F_SETFL");
    }
    return file;
}

}  // namespace

EntropySource::EntropySource(const std::string& path) {
    if (path.empty()) {
        return;
    }
    file_ = open_source(path);
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) {
        io::throw_errno(std::string(kOption) + ": " + path + ": fstat");
    }
    // A file would give every guest the same bytes, and end.
    if (!S_ISCHR(status.st_mode)) {
        io::throw_input(std::string(kOption) + ": " + path +
                        ": not a character device; give one such as /dev/hwrng, or leave source "
                        "out");
    }
}

std::size_t fill_random(std::span<std::byte> bytes) noexcept {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const auto rest = bytes.subspan(filled);
        const ssize_t count =
            io::retry_eintr([&] { return ::getrandom(rest.data(), rest.size(), 0); });
        if (count <= 0) {
            break;
        }
        filled += static_cast<std::size_t>(count);
    }
    return filled;
}

}  // namespace cxlvm::virtio::entropy
