// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "devices/device.hpp"
#include "devices/pci/config_space.hpp"
#include "io/mutex.hpp"
#include "memory/address.hpp"

namespace cxlvm::pci {

/// Whether an access can be a configuration request, which names one dword and some of its bytes
/// (PCI Express 6.0, 7.2.1): BadSize unless it is of 1, 2 or 4 bytes, BadAlign when it crosses into
/// the next dword.
[[nodiscard]] IoStatus check_access(std::uint64_t offset, std::size_t size) noexcept;

class RootPort;

/// A part of a function that acts upon its configuration registers: its base addresses, say, or its
/// interrupts. It is a member of the function and joins when it is constructed.
///
/// Two vCPUs may write at once, and their calls here may come in any order, or both at once. So a
/// part takes nothing from a call but that something has changed: it reads the registers again
/// under a lock of its own that orders what it does about them. Whoever does so last sees the state
/// of the last write.
class FunctionPart {
  public:
    /// A guest has written, or a port above has changed what it passes on; the function's lock is
    /// released.
    virtual void config_written() noexcept = 0;
    /// The registers have gone back to their reset values; the function's lock is released.
    virtual void config_reset() noexcept = 0;

  protected:
    FunctionPart() = default;
    FunctionPart(const FunctionPart&) = default;
    FunctionPart& operator=(const FunctionPart&) = default;
    ~FunctionPart() = default;
};

/// A function on a PCI bus. As a Device it serves its configuration space: offsets 0 to 4095,
/// accesses of 1, 2 or 4 bytes within a dword, which is what the bus passes on.
class PciFunction : public Device {
  public:
    /// `name` is a literal.
    PciFunction(const char* name, const Identity& identity, HeaderType type = HeaderType::Endpoint);

    [[nodiscard]] const char* name() const noexcept final { return name_; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    /// A conventional reset: of the machine, or of a bus above, in which case vCPUs are running.
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

    /// A function level reset, by a guest's order: what reset() does, apart from the settings of
    /// the link (PCI Express 6.0, 6.6.2).
    void reset_function() noexcept CXLVM_EXCLUDES(mutex_);

    /// The port that this function is, if it leads to another bus.
    [[nodiscard]] virtual RootPort* root_port() noexcept { return nullptr; }

    /// What is above: the port that leads to the function's bus, nullptr on a root bus. The bus
    /// sets it, at set-up.
    void set_upstream(RootPort* port) noexcept { upstream_ = port; }
    [[nodiscard]] bool is_behind_port() const noexcept { return upstream_ != nullptr; }
    /// Whether the ports above pass memory requests for `range` down to the function. Not with the
    /// function's lock held.
    [[nodiscard]] bool is_reached_at(GpaRange range) const noexcept;
    /// Whether they pass requests of the function up, its messages included. Not with the
    /// function's lock held.
    [[nodiscard]] bool reaches_memory() const noexcept;
    /// A port above has changed what it passes on: tells the parts, and what is behind a port.
    virtual void upstream_changed() noexcept;

    /// Adds `part`, which is told from now on, after those that were added before. At set-up.
    void add_part(FunctionPart& part) { parts_.push_back(&part); }
    /// Runs `use` on the configuration space with the lock held, so that it sees and leaves the
    /// registers in one piece. For parts of the function; `use` calls no other object.
    template <typename Use>
    auto with_config(Use&& use) CXLVM_EXCLUDES(mutex_) {
        const io::MutexLock lock(mutex_);
        return std::forward<Use>(use)(config_);
    }

  protected:
    /// Called before a guest's read of [offset, offset + size), with the lock released: the place
    /// to fetch what the registers are to say.
    virtual void config_reading(std::uint64_t offset, std::size_t size) noexcept;
    /// Called after a guest's write to [offset, offset + size), with the lock released and the
    /// parts told: the place for effects on other objects. Two vCPUs may call it at once.
    virtual void config_written(std::uint64_t offset, std::size_t size) noexcept;

    // Configuration.
    const char* const name_;
    // Wiring.
    std::vector<FunctionPart*> parts_;  // does not change after set-up
    RootPort* upstream_ = nullptr;      // neither does this
    // State: all of it is in the registers.
    io::Mutex mutex_;
    ConfigSpace config_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::pci
