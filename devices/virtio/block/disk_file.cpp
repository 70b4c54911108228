// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/disk_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "devices/virtio/block/spec.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"
#include "io/mapping.hpp"

namespace cxlvm::virtio::block {

namespace {

constexpr const char* kOption = "--disk";
constexpr std::uint32_t kLargestAlignment = 4096;

std::string named(const std::string& path) {
    return fmt::format("{}: {}", kOption, path);
}

int access_mode(const DiskConfig& config) noexcept {
    return config.read_only ? O_RDONLY : O_RDWR;
}

/// A descriptor of somebody else's is used as it is, unless it was opened for less.
void check_access(const io::Fd& file, const DiskConfig& config) {
    const int flags = ::fcntl(file.get(), F_GETFL);
    const int access = flags & O_ACCMODE;
    if (access == O_WRONLY || (!config.read_only && access != O_RDWR)) {
        io::throw_input(named(config.path) +
                        (config.read_only ? ": the descriptor cannot be read"
                                          : ": the descriptor was not opened for reading and "
                                            "writing; add readonly, or open it so"));
    }
}

io::Fd open_disk(const DiskConfig& config) {
    if (auto copy = io::open_descriptor(config.path, named(config.path))) {
        check_access(*copy, config);
        return std::move(*copy);
    }
    // Without waiting, should it be a FIFO or a modem. Not for long: with the flag io_uring would
    // report EAGAIN where it has to wait for a disk.
    io::Fd file = io::open_file(config.path, access_mode(config) | O_NONBLOCK, 0, kOption);
    if (::fcntl(file.get(), F_SETFL, 0) != 0) {
        io::throw_errno(named(config.path) + ": F_SETFL");
    }
    return file;
}

/// Whether it is a block device; throws for what can be no disk.
bool is_device(const io::Fd& file, const std::string& path) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        io::throw_errno(named(path) + ": fstat");
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        io::throw_input(named(path) +
                        ": neither a file nor a block device; give a raw disk image, which "
                        "\"truncate -s 1G FILE\" makes");
    }
    return S_ISBLK(status.st_mode);
}

void lock(const io::Fd& file, const DiskConfig& config) {
    const int kind = config.read_only ? LOCK_SH : LOCK_EX;
    if (io::retry_eintr([&] { return ::flock(file.get(), kind | LOCK_NB); }) == 0) {
        return;
    }
    if (errno != EWOULDBLOCK) {
        io::throw_errno(named(config.path) + ": flock");
    }
    io::throw_input(named(config.path) +
                    (config.read_only
                         ? ": another VM or program writes to it; end that one, or give a copy"
                         : ": another VM or program uses it; end that one, give a copy, or give it "
                           "readonly to all of them"));
}

std::uint64_t sectors_of(const io::Fd& file, const std::string& path) {
    const std::uint64_t size = io::file_size(file, named(path));
    if (size == 0) {
        io::throw_input(named(path) + ": empty; \"truncate -s 1G FILE\" makes it a disk of 1 GiB");
    }
    if (size % kSectorSize != 0) {
        io::throw_input(
            fmt::format("{}: {} bytes are no whole number of sectors of {}; make it "
                        "larger with \"truncate -s {} FILE\"",
                        named(path), size, kSectorSize, io::align_up(size, kSectorSize)));
    }
    return size / kSectorSize;
}

std::uint32_t device_block_size(const io::Fd& device, const std::string& path) {
    int size = 0;
    if (::ioctl(device.get(), BLKSSZGET, &size) != 0) {
        io::throw_errno(named(path) + ": BLKSSZGET");
    }
    return static_cast<std::uint32_t>(size);
}

/// The same file once more, with `flags`: another open file, so that O_DIRECT is not forced upon
/// whoever shares a descriptor with us.
io::Fd reopen(const io::Fd& file, int flags) noexcept {
    const std::string path = fmt::format("/proc/self/fd/{}", file.get());
    return io::Fd(::open(path.c_str(), flags | O_CLOEXEC));
}

/// Whether a direct read that is aligned to `alignment` and to no more than that succeeds.
bool reads_at(const io::Fd& direct, const io::Mapping& pages, std::uint32_t alignment) noexcept {
    std::byte* const memory = pages.bytes().data() + alignment;
    return ::pread(direct.get(), memory, alignment, alignment) >= 0;
}

/// What direct transfers must be aligned to: found by trying, since only Linux 6.1 and newer, and
/// not for every file system, tells (STATX_DIOALIGN).
std::uint32_t direct_alignment(const io::Fd& direct, const std::string& path) {
    const io::Mapping pages({.size = std::size_t{2} * kLargestAlignment,
                             .protection = PROT_READ | PROT_WRITE,
                             .flags = MAP_PRIVATE | MAP_ANONYMOUS},
                            named(path));
    for (std::uint32_t size = kSectorSize; size <= kLargestAlignment; size *= 2) {
        if (reads_at(direct, pages, size)) {
            return size;
        }
        if (errno != EINVAL) {
            io::throw_errno(named(path) + ": read");
        }
    }
    io::throw_input(named(path) +
                    ": its direct transfers need more than 4 KiB of alignment; leave "
                    "out direct");
}

/// What tells files, and block devices under whatever name, from one another.
struct Identity {
    bool is_device = false;
    dev_t device = 0;
    ino_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
};

std::optional<Identity> identity_of(const std::string& path) {
    struct stat status {};
    const auto copy = io::open_descriptor(path, named(path));
    if ((copy ? ::fstat(copy->get(), &status) : ::stat(path.c_str(), &status)) != 0) {
        return std::nullopt;
    }
    if (S_ISBLK(status.st_mode)) {
        return Identity{.is_device = true, .device = status.st_rdev};
    }
    return Identity{.device = status.st_dev, .inode = status.st_ino};
}

}  // namespace

void check_distinct(std::span<const BlockConfig> disks) {
    std::vector<std::optional<Identity>> seen;
    for (const BlockConfig& config : disks) {
        const DiskConfig& disk = config.disk;
        const auto identity = identity_of(disk.path);
        for (std::size_t i = 0; identity && i < seen.size(); ++i) {
            const DiskConfig& other = disks[i].disk;
            if (seen[i] == identity && !(disk.read_only && other.read_only)) {
                io::throw_input(fmt::format(
                    "{}: {}, and a disk that is written to can be there only once; give a copy, or "
                    "add readonly to both",
                    named(disk.path),
                    disk.path == other.path ? "given twice" : "the same file as " + other.path));
            }
        }
        seen.push_back(identity);
    }
}

DiskFile::DiskFile(const DiskConfig& config)
    : path_(config.path), read_only_(config.read_only), file_(open_disk(config)) {
    is_block_device_ = is_device(file_, config.path);
    lock(file_, config);
    sectors_ = sectors_of(file_, config.path);
    if (is_block_device_) {
        block_size_ = device_block_size(file_, config.path);
    }
    if (!config.direct) {
        return;
    }
    io::Fd direct = reopen(file_, access_mode(config) | O_DIRECT);
    if (!direct) {
        if (errno == EINVAL) {
            io::throw_input(named(config.path) +
                            ": its file system has no direct I/O; leave out direct");
        }
        io::throw_errno(named(config.path) + ": open for direct I/O");
    }
    alignment_ = direct_alignment(direct, config.path);
    block_size_ = std::max(block_size_, alignment_);
    buffered_ = std::exchange(file_, std::move(direct));
}

}  // namespace cxlvm::virtio::block
