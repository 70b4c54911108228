// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/device.hpp"
#include "devices/pci/segment.hpp"
#include "devices/register.hpp"
#include "devices/system_event.hpp"
#include "io/mutex.hpp"

namespace cxlvm::pci {

/// Spec:       PCI Local Bus Specification 3.0, 3.2.2.3.2 (configuration mechanism #1: ports 0xCF8
///             and 0xCFC); Intel ICH9 datasheet, 13.7.5 (reset control, port 0xCF9).
/// Implements: the latch, which 32-bit accesses alone reach; the four byte lanes of the data port;
///             reset of the machine. 8 ports from 0xCF8 on.
/// Deviates:   the kinds of reset (hard, full) are all one.
///
/// Address and data are two accesses: a guest with several vCPUs serialises the pair itself, as on
/// any PC.
class ConfigPort final : public Device {
  public:
    static constexpr std::uint64_t kPorts = 8;

    /// `segment` outlives this.
    ConfigPort(Segment& segment, SystemEventSink& events) noexcept
        : segment_(segment), events_(events) {}

    [[nodiscard]] const char* name() const noexcept override { return "pci-config-port"; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

  private:
    struct State {
        Register<std::uint32_t> address;
        Register<std::uint8_t> reset_control;
    };

    [[nodiscard]] Register<std::uint32_t> address() noexcept CXLVM_EXCLUDES(mutex_);
    void control_reset(Register<std::uint8_t> written) noexcept CXLVM_EXCLUDES(mutex_);

    // Wiring.
    Segment& segment_;
    SystemEventSink& events_;
    io::Mutex mutex_;

    State state_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm::pci
