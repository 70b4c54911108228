// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "devices/virtio/block/block_config.hpp"
#include "io/fd.hpp"

namespace cxlvm::virtio::block {

/// A raw file or a block device that is a guest's disk.
///
/// It is locked (flock(2)) while it is held: by one writer, or by any number of readers. The lock
/// is that of the open file, so it lasts as long as any process has a copy of the descriptor.
class DiskFile {
  public:
    /// Throws Error naming --disk and the path: Input for what is no file or block device, empty,
    /// no whole number of sectors, in use elsewhere, or without direct I/O; Host for what is
    /// missing on this host.
    explicit DiskFile(const DiskConfig& config);

    /// As it was given.
    [[nodiscard]] const char* path() const noexcept { return path_.c_str(); }
    [[nodiscard]] int fd() const noexcept { return file_.get(); }
    /// For transfers that are not aligned for fd(): the same descriptor unless direct.
    [[nodiscard]] int buffered_fd() const noexcept {
        return buffered_ ? buffered_.get() : file_.get();
    }
    [[nodiscard]] std::uint64_t sectors() const noexcept { return sectors_; }
    [[nodiscard]] bool read_only() const noexcept { return read_only_; }
    [[nodiscard]] bool is_block_device() const noexcept { return is_block_device_; }
    /// Of offsets, lengths and memory of a transfer through fd(), in bytes; 1 unless direct.
    [[nodiscard]] std::uint32_t alignment() const noexcept { return alignment_; }
    /// The smallest write that causes no read, as the guest is told, in bytes: a power of two, at
    /// least a sector.
    [[nodiscard]] std::uint32_t block_size() const noexcept { return block_size_; }

  private:
    std::string path_;
    bool read_only_;
    io::Fd file_;
    io::Fd buffered_;
    bool is_block_device_ = false;
    std::uint64_t sectors_ = 0;
    std::uint32_t alignment_ = 1;
    std::uint32_t block_size_ = 512;
};

/// Throws Error (Input) when two of a machine's disks are one file or block device that at least
/// one of them writes to: the locks do not tell, where two descriptors are of one open file. What
/// cannot be looked at is left to DiskFile.
void check_distinct(std::span<const BlockConfig> disks);

}  // namespace cxlvm::virtio::block
