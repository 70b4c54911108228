// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "io/fd.hpp"
#include "io/mapping.hpp"
#include "memory/guest_memory.hpp"

namespace cxlvm::boot {

/// Names a file's content without reading it: while all of this is the same, so is the content.
/// ctime cannot be set by a program, so neither an edit nor a replacement goes unseen, except
/// within one tick of the clock that stamps files.
struct FileIdentity {
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t size;
    std::int64_t modified;  ///< mtime, nanoseconds
    std::int64_t changed;   ///< ctime, nanoseconds

    friend auto operator<=>(const FileIdentity&, const FileIdentity&) = default;
};

/// Identity of the open file. Throws Error naming `what`.
[[nodiscard]] FileIdentity identify(const io::Fd& file, const std::string& what);

/// How bytes of a file come into guest memory.
enum class Placement : std::uint8_t {
    Copied,  ///< for what the guest writes: a copy can lie in huge pages, and costs no fault later
    Mapped,  ///< copy-on-write where that is possible: all guests of the host share the pages
};

/// The bytes of a kernel or an initrd: a file, or memory.
///
/// Files are read with pread(2) and never mapped unless they are our own: a user's file may be
/// rewritten or truncated at any time, which would change or kill a guest that maps it.
class Image {
  public:
    /// Opens `path`, which may be "fd=N" for a descriptor that somebody else opened (it stays
    /// theirs). Throws Error (Input) for everything but a regular file that can be read; messages
    /// begin with `option`, where it was given by one.
    [[nodiscard]] static Image open(const std::string& path, std::string_view option = {});
    /// Memory that outlives the image.
    Image(std::span<const std::byte> bytes, std::string name);
    /// Memory that the image owns.
    Image(io::Mapping bytes, std::string name);
    /// A file that nobody changes any more, such as a cache entry: its pages may be mapped.
    Image(io::Fd sealed, std::uint64_t size, std::string name);

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// For messages.
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Nothing for memory.
    [[nodiscard]] std::optional<FileIdentity> identity() const;
    /// All bytes of an image in memory; empty for a file.
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

    /// Fills `out` from `offset`. Throws Error (Input) when the image ends before.
    void read(std::uint64_t offset, std::span<std::byte> out) const;
    /// Puts `size` bytes from `offset` at `base`, all of which is RAM. Placement::Mapped maps the
    /// whole huge pages (2 MiB) of a sealed file, or its whole pages where there is no huge one,
    /// when offset and address permit; the rest is copied.
    void load(GuestMemory& memory, Gpa base, std::uint64_t offset, std::uint64_t size,
              Placement placement = Placement::Copied) const;

  private:
    Image(io::Fd file, std::uint64_t size, std::string name, bool sealed);

    io::Fd file_;
    io::Mapping owned_;
    std::span<const std::byte> bytes_;  ///< of an image in memory
    std::uint64_t size_ = 0;
    std::string name_;
    bool sealed_ = false;
};

/// Anonymous memory of `size` bytes for an image that is being made. Throws Error (Host).
[[nodiscard]] io::Mapping make_buffer(std::uint64_t size, const std::string& what);

}  // namespace cxlvm::boot
