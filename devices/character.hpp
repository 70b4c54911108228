// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace cxlvm {

/// The two ends of a byte stream between a character device (a serial port, a virtio console) and
/// the host. Neither end ever waits for the other: what does not fit is offered again after a
/// `_ready` call. Calls are made with no lock held that the other end may want.

/// The host's end, implemented by a console backend.
class CharacterHost {
  public:
    /// Takes output. Returns how many bytes were taken; fewer than given means full, and
    /// output_ready() will be called once there is room. Any thread; never blocks.
    virtual std::size_t write(std::span<const std::byte> data) noexcept = 0;
    /// The device has room for input again after receive() took fewer bytes than offered. Any
    /// thread.
    virtual void input_ready() noexcept = 0;

  protected:
    CharacterHost() = default;
    CharacterHost(const CharacterHost&) = default;
    CharacterHost& operator=(const CharacterHost&) = default;
    ~CharacterHost() = default;
};

/// The guest's end, implemented by a device.
class CharacterDevice {
  public:
    /// Takes input. Returns how many bytes were taken; fewer than given means full, and
    /// input_ready() will be called once there is room. From the loop's thread.
    virtual std::size_t receive(std::span<const std::byte> data) noexcept = 0;
    /// The host has room for output again. From the loop's thread.
    virtual void output_ready() noexcept = 0;

  protected:
    CharacterDevice() = default;
    CharacterDevice(const CharacterDevice&) = default;
    CharacterDevice& operator=(const CharacterDevice&) = default;
    ~CharacterDevice() = default;
};

}  // namespace cxlvm
