// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace cxlvm::vfio {

/// What assigned devices reach by DMA: a container's or an IOAS's address space.
class DmaSpace {
  public:
    /// From now on the devices find `host`, whole pages that get pinned, at `iova`. Returns an
    /// errno value. Ranges must not overlap. `writable`: the devices may write it.
    [[nodiscard]] virtual int map(std::uint64_t iova, std::span<std::byte> host,
                                  bool writable) noexcept = 0;
    /// Takes back exactly what one map() did; when it returns, no device reaches it any more.
    /// Returns an errno value.
    [[nodiscard]] virtual int unmap(std::uint64_t iova, std::uint64_t size) noexcept = 0;

  protected:
    DmaSpace() = default;
    DmaSpace(const DmaSpace&) = default;
    DmaSpace& operator=(const DmaSpace&) = default;
    ~DmaSpace() = default;
};

/// Is told of each group or device file that is in use, before its device is opened:
/// KVM has to know them (KVM_DEV_VFIO_FILE_ADD).
class FileSink {
  public:
    /// Throws io::Error naming `name`.
    virtual void add(int fd, const std::string& name) = 0;

  protected:
    FileSink() = default;
    FileSink(const FileSink&) = default;
    FileSink& operator=(const FileSink&) = default;
    ~FileSink() = default;
};

}  // namespace cxlvm::vfio
