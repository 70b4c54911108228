// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/pci/bus.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::pci {

/// A segment group: the root buses of all host bridges that share one set of 256 bus numbers, and
/// so one ECAM and the configuration ports (PCI Firmware Specification 3.3, 4.1.2). A host bridge
/// passes on requests for the bus numbers that are its own, whatever its root ports say.
///
/// Root buses are added at set-up and live for as long as requests come; routing takes no lock. Any
/// thread.
class Segment {
  public:
    Segment() = default;
    /// With one root bus, to which all numbers from its own on belong.
    explicit Segment(PciBus& root) { add(root, kLastBus); }
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;
    ~Segment() = default;

    /// Adds a root bus, to which the numbers from its own up to `last_bus` belong. Numbers that
    /// belong to another one already are a broken invariant of ours.
    void add(PciBus& root, std::uint8_t last_bus);

    /// The function that answers to `address`, or nothing.
    [[nodiscard]] PciFunction* find(Bdf address) const noexcept;

    /// A configuration request. What no function claims reads as all-ones, as a request that ends
    /// in "unsupported request" does (PCI Express 6.0, 2.3.2): not an error of the access.
    IoStatus read(Bdf address, std::uint16_t offset, std::span<std::byte> data) noexcept;
    IoStatus write(Bdf address, std::uint16_t offset, std::span<const std::byte> data) noexcept;

  private:
    static constexpr std::uint8_t kLastBus = 0xff;

    struct Root {
        PciBus* bus;
        std::uint8_t first;
        std::uint8_t last;
    };

    // Wiring.
    std::vector<Root> roots_;  // does not change after set-up
};

}  // namespace cxlvm::pci
