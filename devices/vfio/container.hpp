// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "devices/vfio/dma_space.hpp"
#include "devices/vfio/kernel.hpp"
#include "io/fd.hpp"

namespace cxlvm::vfio {

/// The legacy interface: a container (/dev/vfio/vfio, a type 1 IOMMU) and the groups in it, all of
/// which share one DMA address space.
class Container final : public DmaSpace {
  public:
    /// Throws io::Error.
    Container(Kernel& kernel, FileSink& files);

    /// The device file of the PCI device `address`, whose folder in sysfs is `folder`. Its group
    /// joins, if it has not yet. Throws io::Error that says what is in the way and what helps.
    [[nodiscard]] io::Fd open_device(const std::string& address, const std::string& folder);

    int map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept override;
    int unmap(std::uint64_t iova, std::uint64_t size) noexcept override;

  private:
    struct Group {
        std::string number;
        io::Fd fd;
    };

    const Group& join(const std::string& number, const std::string& address,
                      const std::string& folder);

    Kernel& kernel_;
    FileSink& files_;
    io::Fd fd_;
    std::vector<Group> groups_;
};

/// The drivers of the devices that share the group of the device at `folder`, of those that keep
/// the group from being used: "0000:41:00.1 (snd_hda_intel), ...". Empty when there are none.
[[nodiscard]] std::string foreign_group_mates(Kernel& kernel, const std::string& folder);

}  // namespace cxlvm::vfio
