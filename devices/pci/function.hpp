// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/device.hpp"
#include "devices/pci/config_space.hpp"
#include "io/mutex.hpp"

namespace cxlvm::pci {

/// Whether an access can be a configuration request, which names one dword and some of its bytes
/// (PCI Express 6.0, 7.2.1): BadSize unless it is of 1, 2 or 4 bytes, BadAlign when it crosses into
/// the next dword.
[[nodiscard]] IoStatus check_access(std::uint64_t offset, std::size_t size) noexcept;

/// A function on a PCI bus. As a Device it serves its configuration space: offsets 0 to 4095,
/// accesses of 1, 2 or 4 bytes within a dword, which is what the bus passes on.
class PciFunction : public Device {
  public:
    /// `name` is a literal.
    PciFunction(const char* name, const Identity& identity);

    [[nodiscard]] const char* name() const noexcept final { return name_; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept final
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept final
        CXLVM_EXCLUDES(mutex_);
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

  protected:
    /// Called after a guest's write to [offset, offset + size), with the lock released: the place
    /// for effects on other objects. Two vCPUs may call it at once.
    virtual void config_written(std::uint64_t offset, std::size_t size) noexcept;

    // Configuration.
    const char* const name_;
    // State: all of it is in the registers.
    io::Mutex mutex_;
    ConfigSpace config_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::pci
