// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/vfio/kernel.hpp"
#include "io/fd.hpp"
#include "io/mapping.hpp"

namespace cxlvm::vfio {

/// A part of a region, in bytes from its start.
struct RegionArea {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;

    friend bool operator==(const RegionArea&, const RegionArea&) = default;
};

/// A region of the device file, as the kernel describes it (VFIO_DEVICE_GET_REGION_INFO), checked:
/// areas lie within it and are page aligned.
struct RegionInfo {
    std::uint32_t index = 0;
    std::uint64_t size = 0;    ///< bytes; 0: there is no such region
    std::uint64_t offset = 0;  ///< in the device file
    bool readable = false;
    bool writable = false;
    /// What can be mapped, in ascending order and apart: the whole of it, or what the sparse-mmap
    /// capability names.
    std::vector<RegionArea> mappable{};
    /// The region's type and subtype, of regions that have no fixed index.
    struct Type {
        std::uint32_t type = 0;
        std::uint32_t subtype = 0;
    };
    std::optional<Type> type{};
};

/// A set of interrupts (VFIO_DEVICE_GET_IRQ_INFO).
struct IrqInfo {
    std::uint32_t count = 0;  ///< 0: the device has none of these
    bool eventfd = false;     ///< can signal eventfds
    bool automasked = false;  ///< masks itself when it fires (INTx)
    bool resizable = false;   ///< more of them can be enabled while some are
};

/// A VFIO device: what the kernel says of it, and its system calls. It knows nothing of guests.
///
/// What the kernel says is bounded and checked at construction. Calls after that are noexcept,
/// allocate nothing but where said, and may come from any thread.
class VfioDevice {
  public:
    /// Sets of interrupts that we know the meaning of (VFIO_PCI_*_IRQ_INDEX).
    enum class Irqs : std::uint32_t { Intx = 0, Msi = 1, Msix = 2 };
    static constexpr std::uint32_t kConfigRegion = 7;  ///< VFIO_PCI_CONFIG_REGION_INDEX
    static constexpr std::uint32_t kMostRegions = 64;
    static constexpr std::uint32_t kMostVectors = 2048;

    /// `device` is the opened device file; `name` is for messages, such as 0000:41:00.0. Throws
    /// io::Error when it is no PCI device of VFIO's, or what the kernel says makes no sense.
    VfioDevice(Kernel& kernel, io::Fd device, std::string name);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Whether reset() does anything.
    [[nodiscard]] bool resettable() const noexcept { return resettable_; }
    /// By index; a region that there is not has size 0.
    [[nodiscard]] const RegionInfo& region(std::uint32_t index) const noexcept;
    [[nodiscard]] std::span<const RegionInfo> regions() const noexcept { return regions_; }
    [[nodiscard]] const IrqInfo& irqs(Irqs which) const noexcept;

    /// Reads of a region; false when not all of `data` was transferred, or it leaves the region.
    bool read(const RegionInfo& region, std::uint64_t offset,
              std::span<std::byte> data) const noexcept;
    /// Writes to a region. Returns an errno value: EIO when not all of `data` was transferred,
    /// EINVAL when it leaves the region.
    [[nodiscard]] int write(const RegionInfo& region, std::uint64_t offset,
                            std::span<const std::byte> data) const noexcept;
    /// Maps `area`, one of those that are mappable or a part of whole pages of one, at an address
    /// that huge pages fit at. Throws io::Error.
    [[nodiscard]] io::Mapping map(const RegionInfo& region, RegionArea area) const;

    // Interrupts. Each returns an errno value, 0 for success.
    /// From now on interrupt i of `which` signals eventfds[i]; -1 is none. What was enabled of it
    /// before is given up. At most kMostVectors. `fitting`, when given, says on ENOSPC how many the
    /// host can provide.
    [[nodiscard]] int enable_irqs(Irqs which, std::span<const int> eventfds,
                                  unsigned* fitting = nullptr) const noexcept;
    [[nodiscard]] int disable_irqs(Irqs which) const noexcept;
    /// INTx: each signal of `eventfd` lets the interrupt, which masked itself, come again.
    [[nodiscard]] int unmask_intx_by(int eventfd) const noexcept;

    /// Resets the function (VFIO_DEVICE_RESET): takes as long as its standard says, 100 ms and
    /// more. Returns an errno value.
    [[nodiscard]] int reset() const noexcept;

  private:
    void describe_regions(std::uint32_t count);
    void describe_irqs(std::uint32_t count);
    [[nodiscard]] RegionInfo describe_region(std::uint32_t index) const;
    [[noreturn]] void fail(int error, const std::string& what) const;
    [[noreturn]] void nonsense(const std::string& what) const;

    Kernel& kernel_;
    std::string name_;
    io::Fd fd_;
    bool resettable_ = false;
    std::vector<RegionInfo> regions_;
    std::vector<IrqInfo> irqs_;
};

}  // namespace cxlvm::vfio
