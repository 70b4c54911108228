// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "io/fd.hpp"
#include "vmm/boot/blake2b.hpp"
#include "vmm/boot/elf.hpp"
#include "vmm/boot/image.hpp"

namespace cxlvm::boot {

/// A kernel in the cache, ready to be mapped.
struct CachedKernel {
    Image file;
    KernelImage kernel;
};

/// Unpacked kernels of one user, in a folder of mode 0700.
///
///     <digest>        the kernel (see cache_entry.hpp), mode 0400, named by the BLAKE2b-256 of
///                     the packed payload that it was made from
///     <digest>.seal   the FileIdentity that the kernel had when it was finished
///     file-<digest>   for one kernel file, named by its FileIdentity: the digest of its payload
///
/// So the second boot of a file costs a few small reads: neither payload nor kernel is hashed. The
/// seal is what makes that safe: whoever changes an entry changes its ctime, and an entry whose
/// identity differs from its seal is not used, but made again.
///
/// Any number of processes may use the folder: files appear by rename(2) only, and one process at
/// a time stores. Errors while looking up are misses. One thread.
class KernelCache {
  public:
    /// $XDG_CACHE_HOME/cxlvm/kernels or $HOME/.cache/cxlvm/kernels, as the XDG base directory
    /// specification says; throws Error (Host) when neither variable holds an absolute path.
    [[nodiscard]] static std::string default_folder();

    /// Bytes that the kernels may have together, unless the one stored last has more alone: some
    /// thirty of a distribution's.
    static constexpr std::uint64_t kSizeLimit = std::uint64_t{2} << 30;

    /// Opens `folder`, and makes it and its two parents when they do not exist. Throws Error
    /// (Host) when that fails, or when the folder is not ours alone.
    explicit KernelCache(const std::string& folder, std::uint64_t size_limit = kSizeLimit);

    /// The kernel that was unpacked from this file before.
    [[nodiscard]] std::optional<CachedKernel> find(const FileIdentity& file) const;
    /// The kernel that was unpacked from a payload with this digest before.
    [[nodiscard]] std::optional<CachedKernel> find(const Digest& payload) const;

    /// Keeps `kernel`, whose segments are in `bytes`, and removes what was not used for 90 days,
    /// then what was used longest ago while the kernels are larger than the limit together. Of the
    /// folder's files only those go whose names are the cache's.
    /// Nothing when another process is storing. Throws Error (Host) when the disk is full or such.
    std::optional<CachedKernel> store(const Digest& payload, const KernelImage& kernel,
                                      std::span<const std::byte> bytes);
    /// From now on find(file) finds `payload`. Does nothing for a file that was changed so lately
    /// that one more change might leave its time stamps as they are.
    void remember(const FileIdentity& file, const Digest& payload) noexcept;

  private:
    void write_entry(const Digest& payload, const KernelImage& kernel,
                     std::span<const std::byte> bytes) const;
    void write_file(const std::string& name, std::span<const std::byte> bytes) const;
    [[nodiscard]] bool read_file(const std::string& name, std::span<std::byte> out) const noexcept;
    /// `keep`: the kernel that was just stored.
    void prune(const Digest& keep) const;

    std::string name_;
    std::uint64_t size_limit_;
    io::Fd folder_;
};

}  // namespace cxlvm::boot
