// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "devices/vfio/container.hpp"
#include "devices/vfio/device_config.hpp"
#include "devices/vfio/dma_space.hpp"
#include "devices/vfio/iommufd.hpp"
#include "devices/vfio/kernel.hpp"
#include "devices/vfio/vfio_device.hpp"
#include "io/log.hpp"

namespace cxlvm::vfio {

/// Opens the devices of one machine, by the interface that each is configured for, and is what they
/// reach by DMA. Outlives them.
class Host final : public DmaSpace {
  public:
    /// All outlive this.
    Host(Kernel& kernel, FileSink& files) noexcept : kernel_(kernel), files_(files) {}
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;
    ~Host() = default;

    /// Throws io::Error naming the device, the cause and what helps.
    [[nodiscard]] VfioDevice open(const DeviceConfig& config);

    // To all that are in use. What one refuses is taken back at the others.
    int map(std::uint64_t iova, std::span<std::byte> host, bool writable) noexcept override;
    int unmap(std::uint64_t iova, std::uint64_t size) noexcept override;

  private:
    /// Where sysfs has the device, and its address.
    struct Place {
        std::string folder;
        std::string address;
    };
    [[nodiscard]] Place find(const DeviceConfig& config) const;
    /// The device file that iommufd takes; nothing where this kernel has none.
    [[nodiscard]] std::optional<std::string> device_file(const Place& place) const;
    /// Whether this user may not open what iommufd needs, and there is a group instead.
    [[nodiscard]] bool is_for_group(const Place& place, const std::string& file) const;
    [[nodiscard]] Container& container();
    [[nodiscard]] Iommufd& iommufd();

    Kernel& kernel_;
    FileSink& files_;
    std::optional<Container> container_;
    std::optional<Iommufd> iommufd_;
};

}  // namespace cxlvm::vfio
