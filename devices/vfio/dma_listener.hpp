// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "devices/vfio/dma_space.hpp"
#include "io/log.hpp"
#include "memory/memory_listener.hpp"

namespace cxlvm::vfio {

/// Lets assigned devices reach the guest's RAM at the addresses where the guest has it. Device
/// memory is not mapped: no device reaches another's BARs.
///
/// RAM is pinned as it is mapped, so every page exists from then on, and none may be given back to
/// the host: the device would go on with the old page.
class DmaListener final : public MemoryListener {
  public:
    /// Both outlive this.
    DmaListener(DmaSpace& space, io::Log& log) noexcept : space_(space), log_(log) {}

    /// Refuses what the IOMMU does.
    std::error_code mapped(const MemoryView& view) noexcept override;
    void unmapped(const MemoryView& view) noexcept override;

  private:
    DmaSpace& space_;
    io::Log& log_;
};

}  // namespace cxlvm::vfio
