// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/pci/function.hpp"
#include "devices/pci/spec.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::pci {

/// Bus, device and function number: what a configuration request is routed by.
struct Bdf {
    std::uint8_t bus = 0;
    std::uint8_t device = 0;    ///< 0 to 31
    std::uint8_t function = 0;  ///< 0 to 7

    friend constexpr bool operator==(Bdf, Bdf) noexcept = default;
};

/// A bus, and the functions on it. Functions are attached at set-up and outlive the bus; they do
/// not change while a vCPU runs, so that routing takes no lock. Any thread.
class PciBus {
  public:
    explicit PciBus(std::uint8_t number) noexcept : number_(number) {}
    PciBus(const PciBus&) = delete;
    PciBus& operator=(const PciBus&) = delete;
    ~PciBus() = default;

    [[nodiscard]] std::uint8_t number() const noexcept { return number_; }

    /// The place must be free and `address.bus` this bus.
    void attach(Bdf address, PciFunction& function) noexcept;
    /// The function that answers to `address`, or nothing.
    [[nodiscard]] PciFunction* find(Bdf address) const noexcept;

    /// A configuration request. What no function claims reads as all-ones, as a request that ends
    /// in "unsupported request" does (PCI Express 6.0, 2.3.2): not an error of the access.
    IoStatus read(Bdf address, std::uint16_t offset, std::span<std::byte> data) noexcept;
    IoStatus write(Bdf address, std::uint16_t offset, std::span<const std::byte> data) noexcept;

  private:
    // Configuration.
    const std::uint8_t number_;
    // Wiring.
    std::array<PciFunction*, std::size_t{kDevicesPerBus} * kFunctionsPerDevice> functions_{};
};

}  // namespace cxlvm::pci
