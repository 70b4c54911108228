// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "devices/pci/function.hpp"
#include "devices/pci/spec.hpp"

namespace cxlvm::pci {

/// Bus, device and function number: what a configuration request is routed by.
struct Bdf {
    std::uint8_t bus = 0;
    std::uint8_t device = 0;    ///< 0 to 31
    std::uint8_t function = 0;  ///< 0 to 7

    friend constexpr bool operator==(Bdf, Bdf) noexcept = default;
};

/// A bus, and the functions on it: that of a host bridge, or what lies behind a root port, whose
/// number the guest sets in the port. A request for another bus goes on through the port that
/// forwards it.
///
/// Functions are attached at set-up and live for as long as requests come; they do not change while
/// a vCPU runs, so that routing takes no lock. Ports form a tree that is fixed at set-up, whatever
/// numbers a guest gives them, so a request goes down no further than the tree is deep. Any thread.
class PciBus {
  public:
    explicit PciBus(std::uint8_t number) noexcept : number_(number) {}
    /// The bus behind `port`.
    explicit PciBus(RootPort& port) noexcept : port_(&port) {}
    PciBus(const PciBus&) = delete;
    PciBus& operator=(const PciBus&) = delete;
    ~PciBus() = default;

    /// Behind a port: its secondary bus number, 0 while the guest has given none.
    [[nodiscard]] std::uint8_t number() const noexcept;
    [[nodiscard]] bool empty() const noexcept { return empty_; }

    /// The place must be free and `address.bus` this bus.
    void attach(Bdf address, PciFunction& function);
    /// The function that answers to `address`, on this bus or behind its ports, or nothing.
    [[nodiscard]] PciFunction* find(Bdf address) const noexcept;

    /// Resets the functions, and what is behind those that are ports. Any thread.
    void reset() noexcept;
    /// The port to this bus, or one above it, has changed what it passes on. Any thread.
    void upstream_changed() noexcept;

  private:
    /// The bus behind one of our ports, if one forwards requests for `number`.
    [[nodiscard]] const PciBus* next(std::uint8_t number) const noexcept;

    // Configuration.
    const std::uint8_t number_ = 0;
    // Wiring.
    RootPort* const port_ = nullptr;
    std::array<PciFunction*, std::size_t{kDevicesPerBus} * kFunctionsPerDevice> functions_{};
    bool empty_ = true;
    std::vector<const RootPort*> ports_;  // those of functions_ that lead on
};

}  // namespace cxlvm::pci
