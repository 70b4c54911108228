// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "memory/address.hpp"

namespace cxlvm {

/// A memory region as a listener sees it: where the guest finds it and what backs it.
struct MemoryView {
    GpaRange range;
    std::span<std::byte> host;    ///< as long as the range; page aligned
    int fd = -1;                  ///< file behind `host`, -1 for anonymous memory
    std::uint64_t fd_offset = 0;  ///< of `host` within the file
    bool read_only = false;       ///< the guest may not write
    bool ram = false;             ///< guest RAM, as against device memory
};

/// Is told of every memory region that appears in or leaves an AddressSpace: KVM memory slots, the
/// IOMMU of assigned devices, dirty tracking.
///
/// Calls are serialised by the AddressSpace and may come from a vCPU thread; they must not call
/// back into it. A listener that joins late is told of what is mapped already.
class MemoryListener : public boost::intrusive::list_base_hook<
                           boost::intrusive::link_mode<boost::intrusive::safe_link>> {
  public:
    MemoryListener() = default;
    MemoryListener(const MemoryListener&) = delete;
    MemoryListener& operator=(const MemoryListener&) = delete;

    /// A non-zero code refuses the mapping: it is rolled back at the listeners told before, and the
    /// region stays unmapped.
    virtual std::error_code mapped(const MemoryView& view) noexcept = 0;
    /// The mapping goes; when this returns, nothing may reach the memory through this listener.
    virtual void unmapped(const MemoryView& view) noexcept = 0;

  protected:
    ~MemoryListener() = default;
};

}  // namespace cxlvm
