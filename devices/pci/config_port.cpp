// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_port.hpp"

namespace cxlvm::pci {

namespace {

using ConfigAddress = Register<std::uint32_t>;

constexpr auto kAddressWritable = mask_of<std::uint32_t>(
    kAddressEnable, kAddressBus, kAddressDevice, kAddressFunction, kAddressRegister);
constexpr auto kResetWritable = mask_of<std::uint8_t>(kResetSystem, kResetCpu, kResetFull);

enum class Target : std::uint8_t { None, Address, ResetControl, Data };

/// Which register an access reaches. The latch takes whole dwords only: narrower accesses to its
/// ports belong to whoever else listens there (PCI 3.2.2.3.2).
[[nodiscard]] constexpr Target target(std::uint64_t offset, std::size_t size) noexcept {
    if (offset == kConfigAddressOffset && size == 4) {
        return Target::Address;
    }
    if (offset == kResetControlOffset && size == 1) {
        return Target::ResetControl;
    }
    if (offset >= kConfigDataOffset && offset < ConfigPort::kPorts) {
        return Target::Data;
    }
    return Target::None;
}

[[nodiscard]] constexpr Bdf function_of(ConfigAddress address) noexcept {
    return {.bus = address.get(kAddressBus),
            .device = address.get(kAddressDevice),
            .function = address.get(kAddressFunction)};
}

/// The byte in configuration space that a data port reaches.
[[nodiscard]] constexpr std::uint16_t offset_of(ConfigAddress address,
                                                std::uint64_t port) noexcept {
    const std::uint64_t dword = address.get(kAddressRegister);
    return static_cast<std::uint16_t>(dword * 4 + (port - kConfigDataOffset));
}

/// Whether an access to the data ports becomes a configuration request: not while the latch is off.
[[nodiscard]] IoStatus check_data(ConfigAddress address, std::uint64_t port,
                                  std::size_t size) noexcept {
    const IoStatus status = check_access(port, size);
    return status == IoStatus::Ok && !address.get(kAddressEnable) ? IoStatus::Unmapped : status;
}

}  // namespace

IoStatus ConfigPort::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    switch (target(offset, data.size())) {
        case Target::Address: {
            const ConfigAddress latched = address();
            for (std::size_t i = 0; i < 4; ++i) {
                data[i] = static_cast<std::byte>(latched.raw >> (8 * i));
            }
            return IoStatus::Ok;
        }
        case Target::ResetControl: {
            const io::MutexLock lock(mutex_);
            data[0] = std::byte{state_.reset_control.raw};
            return IoStatus::Ok;
        }
        case Target::Data: {
            const ConfigAddress latched = address();
            const IoStatus status = check_data(latched, offset, data.size());
            return status == IoStatus::Ok
                       ? segment_.read(function_of(latched), offset_of(latched, offset), data)
                       : status;
        }
        case Target::None:
            break;
    }
    return IoStatus::Unmapped;
}

IoStatus ConfigPort::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    switch (target(offset, data.size())) {
        case Target::Address: {
            std::uint32_t value = 0;
            for (std::size_t i = 0; i < 4; ++i) {
                value |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
            }
            const io::MutexLock lock(mutex_);
            state_.address = {value & kAddressWritable};
            return IoStatus::Ok;
        }
        case Target::ResetControl:
            control_reset({std::to_integer<std::uint8_t>(data[0])});
            return IoStatus::Ok;
        case Target::Data: {
            const ConfigAddress latched = address();
            const IoStatus status = check_data(latched, offset, data.size());
            return status == IoStatus::Ok
                       ? segment_.write(function_of(latched), offset_of(latched, offset), data)
                       : status;
        }
        case Target::None:
            break;
    }
    return IoStatus::Unmapped;
}

Register<std::uint32_t> ConfigPort::address() noexcept {
    const io::MutexLock lock(mutex_);
    return state_.address;
}

void ConfigPort::control_reset(Register<std::uint8_t> written) noexcept {
    bool rises = false;
    {
        const io::MutexLock lock(mutex_);
        rises = written.get(kResetCpu) && !state_.reset_control.get(kResetCpu);
        state_.reset_control = {static_cast<std::uint8_t>(written.raw & kResetWritable)};
    }
    if (rises) {
        events_.raise(SystemEvent::Reset);
    }
}

void ConfigPort::reset() noexcept {
    const io::MutexLock lock(mutex_);
    state_ = State{};
}

}  // namespace cxlvm::pci
