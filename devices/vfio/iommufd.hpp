// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "devices/vfio/dma_space.hpp"
#include "devices/vfio/kernel.hpp"
#include "io/fd.hpp"

namespace cxlvm::vfio {

/// The newer interface (Linux 6.6): an iommufd with one I/O address space, to which device files
/// are attached.
class Iommufd final : public DmaSpace {
  public:
    static constexpr const char* kPath = "/dev/iommu";

    /// Throws io::Error.
    Iommufd(Kernel& kernel, FileSink& files);

    /// The device file at `path`, ready for use. Throws io::Error naming the device as `name`.
    [[nodiscard]] io::Fd open_device(const std::string& path, const std::string& name);
    /// The same of one that somebody else has opened.
    void attach(const io::Fd& device, const std::string& name);

    int map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept override;
    int unmap(std::uint64_t iova, std::uint64_t size) noexcept override;

  private:
    Kernel& kernel_;
    FileSink& files_;
    io::Fd fd_;
    std::uint32_t space_ = 0;
};

}  // namespace cxlvm::vfio
