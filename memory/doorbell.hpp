// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <system_error>

#include "memory/address.hpp"

namespace cxlvm {

/// A place in a trapped region where a write, of any width and value, only says "look here": the
/// host may signal the eventfd in place of calling the region's handler, which spares the vCPU the
/// way through the VMM.
struct Doorbell {
    std::uint64_t offset = 0;  ///< from the region's base, inside it
    int eventfd = -1;          ///< its owner keeps it open while the region is mapped
};

/// Whoever can turn a guest's write into the signal of an eventfd (KVM).
///
/// Calls are serialised by the AddressSpace and may come from a vCPU thread; they must not call
/// back into it.
class DoorbellHost {
  public:
    /// On a non-zero code writes go to the handler: slower, and nothing worse.
    virtual std::error_code connect(Gpa address, int eventfd) noexcept = 0;
    /// When this returns, no write at the address signals the eventfd. No effect when connect()
    /// refused it.
    virtual void disconnect(Gpa address, int eventfd) noexcept = 0;

  protected:
    DoorbellHost() = default;
    DoorbellHost(const DoorbellHost&) = default;
    DoorbellHost& operator=(const DoorbellHost&) = default;
    ~DoorbellHost() = default;
};

}  // namespace cxlvm
