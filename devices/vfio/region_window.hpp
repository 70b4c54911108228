// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/vfio/vfio_device.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::vfio {

/// A part of a region whose accesses go through the device file, one by one. What the kernel
/// refuses reads as all-ones and is dropped, as a device does that does not answer.
class RegionWindow final : public IoHandler {
  public:
    /// `device` outlives this; `region` is its.
    RegionWindow(const VfioDevice& device, const RegionInfo& region, std::uint64_t offset) noexcept
        : device_(device), region_(region), offset_(offset) {}

    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        if (!device_.read(region_, offset_ + offset, data)) {
            std::ranges::fill(data, std::byte{0xff});
        }
        return IoStatus::Ok;
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        static_cast<void>(device_.write(region_, offset_ + offset, data));
        return IoStatus::Ok;
    }

  private:
    const VfioDevice& device_;
    const RegionInfo& region_;
    const std::uint64_t offset_;
};

}  // namespace cxlvm::vfio
