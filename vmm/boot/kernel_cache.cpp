// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/kernel_cache.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/error.hpp"
#include "vmm/boot/cache_entry.hpp"
#include "vmm/boot/cache_sweep.hpp"

namespace cxlvm::boot {

namespace {

constexpr mode_t kPrivateFolder = 0700;
constexpr mode_t kSealedFile = 0400;
/// Where everything begins; only the holder of the lock has one.
constexpr const char* kNewName = "new";

constexpr std::int64_t kUseGranularity = kDay;  ///< how exactly the last use is known
/// More than a tick of the clock that stamps files (10 ms at most).
constexpr std::int64_t kSettled = kSecond / 10;

/// Content of a "file-" file.
struct FileRecord {
    FileIdentity file;
    Digest payload;
};
static_assert(std::is_trivially_copyable_v<FileRecord> && sizeof(FileRecord) == 72);
static_assert(std::has_unique_object_representations_v<FileRecord>);

template <typename T>
std::span<std::byte> bytes_of(T& value) noexcept {
    return std::as_writable_bytes(std::span(&value, 1));
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
    return std::as_bytes(std::span(&value, 1));
}

std::int64_t now() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
}

std::string record_name(const FileIdentity& file) {
    return std::string(kRecordPrefix) + to_hex(Blake2b::of(bytes_of(file)));
}

std::string seal_name(const Digest& payload) {
    return to_hex(payload) + std::string(kSealSuffix);
}

/// Held by whoever writes into the folder. Never waited for: its holder may be stopped.
class FolderLock {
  public:
    explicit FolderLock(const io::Fd& folder) noexcept
        : folder_(folder), held_(::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) {}
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    ~FolderLock() {
        if (held_) {
            ::flock(folder_.get(), LOCK_UN);
        }
    }

    [[nodiscard]] explicit operator bool() const noexcept { return held_; }

  private:
    const io::Fd& folder_;
    bool held_;
};

void make_folder(int parent, const std::string& path) {
    if (::mkdirat(parent, path.c_str(), kPrivateFolder) != 0 && errno != EEXIST) {
        io::throw_errno("mkdir " + path);
    }
}

void check_private(const io::Fd& folder, const std::string& name) {
    struct stat status {};
    if (::fstat(folder.get(), &status) != 0) {
        io::throw_errno("fstat " + name);
    }
    if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
        io::throw_error(EPERM, name + " must belong to you alone (chmod 700)");
    }
}

void write_all(const io::Fd& file, std::uint64_t offset, std::span<const std::byte> bytes,
               const std::string& what) {
    while (!bytes.empty()) {
        const ssize_t count = io::retry_eintr([&] {
            return ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        });
        if (count < 0) {
            io::throw_errno("write " + what);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

/// A file that goes away again unless it was given its final name.
class NewFile {
  public:
    NewFile(const io::Fd& folder, const std::string& folder_name)
        : folder_(folder), what_(folder_name + "/" + kNewName) {
        ::unlinkat(folder_.get(), kNewName, 0);  // what a killed process left
        file_.reset(::openat(folder_.get(), kNewName,
                             O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!file_) {
            io::throw_errno("open " + what_);
        }
    }
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;
    ~NewFile() {
        if (!published_) {
            ::unlinkat(folder_.get(), kNewName, 0);
        }
    }

    void write(std::uint64_t offset, std::span<const std::byte> bytes) {
        write_all(file_, offset, bytes, what_);
    }
    /// To the disk: a name must never appear before its content.
    void seal() {
        if (::fchmod(file_.get(), kSealedFile) != 0) {
            io::throw_errno("fchmod " + what_);
        }
        if (::fsync(file_.get()) != 0) {
            io::throw_errno("fsync " + what_);
        }
    }
    void publish(const std::string& name) {
        if (::renameat(folder_.get(), kNewName, folder_.get(), name.c_str()) != 0) {
            io::throw_errno("rename " + what_);
        }
        published_ = true;
    }
    [[nodiscard]] FileIdentity identity() const { return identify(file_, what_); }

  private:
    const io::Fd& folder_;
    std::string what_;
    io::Fd file_;
    bool published_ = false;
};

}  // namespace

std::string KernelCache::default_folder() {
    constexpr const char* kBelow = "/cxlvm/kernels";
    const char* const cache = std::getenv("XDG_CACHE_HOME");
    if (cache != nullptr && cache[0] == '/') {
        return std::string(cache) + kBelow;
    }
    const char* const home = std::getenv("HOME");
    if (home != nullptr && home[0] == '/') {
        return std::string(home) + "/.cache" + kBelow;
    }
    io::throw_error(ENOENT, "neither XDG_CACHE_HOME nor HOME names a folder");
}

KernelCache::KernelCache(const std::string& folder, std::uint64_t size_limit)
    : name_(folder), size_limit_(size_limit) {
    const std::string parent = folder.substr(0, folder.rfind('/'));
    const std::string base = parent.substr(0, parent.rfind('/'));
    make_folder(AT_FDCWD, base);
    make_folder(AT_FDCWD, parent);
    make_folder(AT_FDCWD, folder);
    folder_.reset(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder_) {
        io::throw_errno("open " + folder);
    }
    check_private(folder_, folder);
}

bool KernelCache::read_file(const std::string& name, std::span<std::byte> out) const noexcept {
    const io::Fd file(
        ::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    return file && io::retry_eintr([&] { return ::read(file.get(), out.data(), out.size()); }) ==
                       static_cast<ssize_t>(out.size());
}

std::optional<CachedKernel> KernelCache::find(const FileIdentity& file) const {
    const std::string name = record_name(file);
    FileRecord record{};
    if (!read_file(name, bytes_of(record)) || record.file != file) {
        return std::nullopt;
    }
    auto found = find(record.payload);
    if (found) {
        // The record's mtime says when the kernel was last used.
        struct stat status {};
        if (::fstatat(folder_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            std::int64_t{status.st_mtim.tv_sec} * kSecond < now() - kUseGranularity) {
            ::utimensat(folder_.get(), name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
        }
    }
    return found;
}

std::optional<CachedKernel> KernelCache::find(const Digest& payload) const {
    const std::string name = to_hex(payload);
    io::Fd file(
        ::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != ::geteuid() || (status.st_mode & 07777) != kSealedFile) {
        return std::nullopt;
    }
    const std::string what = name_ + "/" + name;
    FileIdentity sealed{};
    if (!read_file(seal_name(payload), bytes_of(sealed)) || sealed != identify(file, what)) {
        return std::nullopt;
    }
    CacheEntryHeader header;
    if (::pread(file.get(), &header, sizeof(header), 0) != static_cast<ssize_t>(sizeof(header))) {
        return std::nullopt;
    }
    auto kernel = read_header(header, payload, sealed.size);
    if (!kernel) {
        return std::nullopt;
    }
    return CachedKernel{.file = Image(std::move(file), sealed.size, what),
                        .kernel = std::move(*kernel)};
}

std::optional<CachedKernel> KernelCache::store(const Digest& payload, const KernelImage& kernel,
                                               std::span<const std::byte> bytes) {
    const FolderLock lock(folder_);
    if (!lock) {
        return std::nullopt;
    }
    write_entry(payload, kernel, bytes);
    prune(payload);
    return find(payload);
}

void KernelCache::write_entry(const Digest& payload, const KernelImage& kernel,
                              std::span<const std::byte> bytes) const {
    const CacheLayout layout = lay_out(kernel);
    FileIdentity sealed{};
    {
        NewFile file(folder_, name_);
        file.write(0, bytes_of(make_header(layout, payload)));
        for (std::size_t i = 0; i < kernel.segments.size(); ++i) {
            const Segment& from = kernel.segments[i];
            file.write(layout.kernel.segments[i].offset,
                       bytes.subspan(from.offset, from.file_size));
        }
        file.seal();
        file.publish(to_hex(payload));
        sealed = file.identity();  // rename changes ctime
    }
    write_file(seal_name(payload), bytes_of(sealed));
}

void KernelCache::write_file(const std::string& name, std::span<const std::byte> bytes) const {
    NewFile file(folder_, name_);
    file.write(0, bytes);
    file.publish(name);
}

void KernelCache::remember(const FileIdentity& file, const Digest& payload) noexcept {
    if (std::max(file.modified, file.changed) > now() - kSettled) {
        return;
    }
    try {
        const FolderLock lock(folder_);
        if (lock) {
            const FileRecord record{.file = file, .payload = payload};
            write_file(record_name(file), bytes_of(record));
        }
    } catch (const std::exception&) {
        // The next boot of this file hashes its payload again: slower, and nothing worse.
        return;
    }
}

void KernelCache::prune(const Digest& keep) const {
    const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(copy < 0 ? nullptr : ::fdopendir(copy),
                                                      &::closedir);
    if (listing == nullptr) {
        if (copy >= 0) {
            ::close(copy);
        }
        return;
    }
    // Files are removed after the listing: readdir need not see a stable folder.
    std::vector<CacheFile> files;
    while (const dirent* const entry = ::readdir(listing.get())) {
        std::string name = static_cast<const char*>(entry->d_name);
        struct stat status {};
        if (::fstatat(folder_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        CacheFile file{.name = std::move(name),
                       .size = static_cast<std::uint64_t>(status.st_size),
                       .modified = std::int64_t{status.st_mtim.tv_sec} * kSecond};
        FileRecord record{};
        if (file.name.starts_with(kRecordPrefix) && read_file(file.name, bytes_of(record))) {
            file.payload = record.payload;
        }
        files.push_back(std::move(file));
    }
    for (const std::string& name :
         files_to_remove(files, {.now = now(), .size_limit = size_limit_, .keep = keep})) {
        ::unlinkat(folder_.get(), name.c_str(), 0);
    }
}

}  // namespace cxlvm::boot
