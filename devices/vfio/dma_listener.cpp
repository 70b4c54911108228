// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/dma_listener.hpp"

#include <cerrno>

#include "io/error.hpp"

namespace cxlvm::vfio {

std::error_code DmaListener::mapped(const MemoryView& view) noexcept {
    if (!view.ram) {
        return {};
    }
    const int error = space_.map(view.range.base().value(), view.host, !view.read_only);
    if (error == 0) {
        return {};
    }
    // Set-up turns the code into a message that names RAM; what is known beyond that is said here.
    const char* cause = "";
    if (error == ENOMEM) {
        cause = "; the limit of pinned memory (ulimit -l) may be used up by another process";
    } else if (error == EINVAL) {
        cause = "; the IOMMU's address width or a reserved range does not allow the address";
    } else if (error == ENOSPC) {
        cause = "; raise dma_entry_limit of the module vfio_iommu_type1";
    }
    log_.error("--device: devices cannot reach RAM at {}: {}{}", view.range, io::errno_text(error),
               cause);
    return {error, std::generic_category()};
}

void DmaListener::unmapped(const MemoryView& view) noexcept {
    if (!view.ram) {
        return;
    }
    if (const int error =
            space_.unmap(view.range.base().value(), static_cast<std::uint64_t>(view.host.size()));
        error != 0) {
        log_.error("devices may still reach RAM at {}: {}", view.range, io::errno_text(error));
    }
}

}  // namespace cxlvm::vfio
