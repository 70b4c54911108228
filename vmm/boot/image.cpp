// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/image.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::boot {

namespace {

constexpr std::uint64_t kPageSize = 4096;
/// What is mapped comes in small pages, and what shares a huge page with it loses that.
constexpr std::uint64_t kHugePage = 2U << 20;

/// Offsets into a range of guest memory.
struct Part {
    std::uint64_t begin;
    std::uint64_t end;
};

/// What of a range is mapped: whole pages. Where it reaches into several huge pages, the first and
/// the last are left whole for a copy when less than half of them would be mapped.
Part mapped_part(Gpa base, std::uint64_t size) noexcept {
    const std::uint64_t first = io::align_up(base.value(), kPageSize) - base.value();
    const std::uint64_t last = size - std::min(size, (base.value() + size) % kPageSize);
    const std::uint64_t first_huge = io::align_up(base.value(), kHugePage) - base.value();
    const std::uint64_t last_huge = size - std::min(size, (base.value() + size) % kHugePage);
    if (first_huge > last_huge) {
        return {.begin = std::min(first, last), .end = last};
    }
    return {.begin = first_huge - first < kHugePage / 2 ? first_huge : first,
            .end = last - last_huge < kHugePage / 2 ? last_huge : last};
}

constexpr std::int64_t nanoseconds(const timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

struct stat status_of(const io::Fd& file, const std::string& what) {
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) {
        io::throw_errno("fstat " + what);
    }
    return status;
}

}  // namespace

FileIdentity identify(const io::Fd& file, const std::string& what) {
    const struct stat status = status_of(file, what);
    return {.device = status.st_dev,
            .inode = status.st_ino,
            .size = static_cast<std::uint64_t>(status.st_size),
            .modified = nanoseconds(status.st_mtim),
            .changed = nanoseconds(status.st_ctim)};
}

Image Image::open(const std::string& path, std::string_view option) {
    const std::string what = option.empty() ? path : fmt::format("{}: {}", option, path);
    std::optional<io::Fd> named = io::open_descriptor(path, what);
    if (named) {
        io::require_regular_file(*named, what);
    }
    io::Fd file = named ? std::move(*named) : io::open_regular_file(path, option);
    const struct stat status = status_of(file, what);
    if (status.st_size == 0) {
        io::throw_input(what + ": the file is empty; give another");
    }
    return Image(std::move(file), static_cast<std::uint64_t>(status.st_size), path, false);
}

Image::Image(std::span<const std::byte> bytes, std::string name)
    : bytes_(bytes), size_(bytes.size()), name_(std::move(name)) {}

Image::Image(io::Mapping bytes, std::string name)
    : owned_(std::move(bytes)),
      bytes_(owned_.bytes()),
      size_(owned_.size()),
      name_(std::move(name)) {}

Image::Image(io::Fd sealed, std::uint64_t size, std::string name)
    : Image(std::move(sealed), size, std::move(name), true) {}

Image::Image(io::Fd file, std::uint64_t size, std::string name, bool sealed)
    : file_(std::move(file)), size_(size), name_(std::move(name)), sealed_(sealed) {}

std::optional<FileIdentity> Image::identity() const {
    if (!file_) {
        return std::nullopt;
    }
    return identify(file_, name_);
}

void Image::read(std::uint64_t offset, std::span<std::byte> out) const {
    if (offset > size_ || out.size() > size_ - offset) {
        io::throw_input(
            fmt::format("{}: the file ends at byte {}, before byte {}: it is "
                        "truncated; copy it again",
                        name_, size_, offset + out.size()));
    }
    if (!file_) {
        std::ranges::copy(bytes_.subspan(offset, out.size()), out.begin());
        return;
    }
    while (!out.empty()) {
        const ssize_t count = io::retry_eintr([&] {
            return ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
        });
        if (count < 0) {
            const bool input = errno == EBADF || errno == EISDIR;  // a descriptor for writing only
            io::throw_errno("read " + name_, input ? io::Fault::Input : io::Fault::Host);
        }
        if (count == 0) {
            io::throw_input(name_ + ": the file became shorter while it was being read");
        }
        out = out.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
}

void Image::load(GuestMemory& memory, Gpa base, std::uint64_t offset, std::uint64_t size,
                 Placement placement) const {
    if (size == 0) {
        return;
    }
    const auto host = memory.span(base, size);
    io::check(host.has_value(), "Image::load: the destination is not RAM");
    const Part part = mapped_part(base, size);
    if (placement == Placement::Copied || !sealed_ || part.begin == part.end ||
        !io::is_aligned(offset ^ base.value(), kPageSize)) {
        read(offset, *host);
        return;
    }
    read(offset, host->first(part.begin));
    memory.load_file(Gpa(base.value() + part.begin), file_, offset + part.begin,
                     part.end - part.begin, name_);
    read(offset + part.end, host->subspan(part.end));
}

io::Mapping make_buffer(std::uint64_t size, const std::string& what) {
    return io::Mapping(
        {.size = size, .protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS},
        what);
}

}  // namespace cxlvm::boot
