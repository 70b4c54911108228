// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cxlvm {

/// Whether an access was a valid one. What goes wrong inside a device is not reported here: the
/// device handles it and answers Ok with the data that its standard prescribes.
enum class IoStatus : std::uint8_t {
    Ok,        ///< served
    Unmapped,  ///< nothing is there
    BadSize,   ///< the register does not take accesses of this width
    BadAlign,  ///< the register does not take accesses at this alignment
};

/// Serves the accesses of one trapped Region.
///
/// `offset` counts from the region's base, and offset + data.size() lies within the region. Sizes
/// are 1, 2, 4 or 8 on the vCPU path. Called from any vCPU thread and from the loop, concurrently:
/// each handler takes its own lock. Must not block, allocate, throw or abort, whatever the guest
/// sends. On a status other than Ok a read's data is ignored and the guest sees all-ones.
class IoHandler {
  public:
    virtual IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept = 0;
    virtual IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept = 0;

  protected:
    IoHandler() = default;
    IoHandler(const IoHandler&) = default;
    IoHandler& operator=(const IoHandler&) = default;
    ~IoHandler() = default;
};

}  // namespace cxlvm
