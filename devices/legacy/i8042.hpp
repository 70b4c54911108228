// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/device.hpp"
#include "devices/register.hpp"
#include "devices/system_event.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"

namespace cxlvm {

namespace i8042 {

/// Offsets from port 0x60.
inline constexpr std::uint64_t kDataOffset = 0;
inline constexpr std::uint64_t kCommandOffset = 4;  ///< reading it gives the status

// Status.
inline constexpr Field<bool, 0, 0> kOutputFull;  ///< a byte waits at the data port
inline constexpr Field<bool, 1, 1> kInputFull;   ///< the controller is busy
inline constexpr Field<bool, 2, 2> kSystemFlag;  ///< the self test has passed
inline constexpr Field<bool, 3, 3> kCommandLast;
inline constexpr Field<bool, 4, 4> kNotLocked;  ///< the keyboard lock is open
inline constexpr Field<bool, 5, 5> kFromAuxiliary;
inline constexpr Field<bool, 6, 6> kTimeout;

// Controller command byte (its configuration).
inline constexpr Field<bool, 2, 2> kConfigSystemFlag;
inline constexpr Field<bool, 4, 4> kConfigKeyboardOff;
inline constexpr Field<bool, 5, 5> kConfigAuxiliaryOff;

enum class Command : std::uint8_t {
    ReadConfig = 0x20,
    WriteConfig = 0x60,
    DisableAuxiliary = 0xa7,
    EnableAuxiliary = 0xa8,
    TestAuxiliary = 0xa9,
    SelfTest = 0xaa,
    TestKeyboard = 0xab,
    DisableKeyboard = 0xad,
    EnableKeyboard = 0xae,
    ReadOutputPort = 0xd0,
    WriteOutputPort = 0xd1,
    LoopKeyboard = 0xd2,
    LoopAuxiliary = 0xd3,
    WriteAuxiliary = 0xd4,
    PulseOutputPort = 0xf0,  ///< up to 0xff: a zero in the low four bits pulses that line
};
inline constexpr std::uint8_t kSelfTestPassed = 0x55;
inline constexpr std::uint8_t kClockLineStuck = 0x01;  ///< answer of a port test: nothing is there
inline constexpr std::uint8_t kResend = 0xfe;  ///< what a device that is not there "answers"

// Output port.
inline constexpr Field<bool, 0, 0> kOutputReset;  ///< low resets the machine
inline constexpr Field<bool, 1, 1> kOutputA20;

}  // namespace i8042

/// Spec:       IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
///             Controller"; ports 0x60 (data) and 0x64 (status, command).
/// Implements: reset of the machine through the output port, the self test, the configuration
///             byte, and prompt answers that nothing is attached.
/// Deviates:   there is neither keyboard nor mouse, and no interrupt; A20 is always on; commands
///             that do nothing here are taken in silence.
class I8042 final : public Device {
  public:
    I8042(SystemEventSink& events, io::Log& log) noexcept;

    /// The two ports are not neighbours: each is a region of one byte with a handler of its own.
    [[nodiscard]] IoHandler& data_port() noexcept { return data_port_; }
    [[nodiscard]] IoHandler& command_port() noexcept { return command_port_; }

    [[nodiscard]] const char* name() const noexcept override { return "i8042"; }
    /// `offset` counts from port 0x60.
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

  private:
    using Byte = Register<std::uint8_t>;

    /// Serves one of the ports.
    class Port final : public IoHandler {
      public:
        Port(I8042& controller, std::uint64_t base) noexcept
            : controller_(controller), base_(base) {}
        IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
        IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

      private:
        I8042& controller_;
        std::uint64_t base_;
    };

    /// Which command takes the next byte at the data port.
    enum class Expects : std::uint8_t {
        Nothing,
        Config,
        OutputPort,
        LoopKeyboard,
        LoopAuxiliary,
        Auxiliary
    };

    struct State {
        Byte status = Byte{}.with(i8042::kNotLocked, true);
        Byte config =
            Byte{}.with(i8042::kConfigKeyboardOff, true).with(i8042::kConfigAuxiliaryOff, true);
        std::uint8_t output = 0;
        Expects expects = Expects::Nothing;
    };

    /// Both return whether the machine is to be reset.
    [[nodiscard]] bool command_locked(std::uint8_t value) noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] bool data_locked(std::uint8_t value) noexcept CXLVM_REQUIRES(mutex_);
    void answer_locked(std::uint8_t value) noexcept CXLVM_REQUIRES(mutex_);
    void answer_absent_locked(bool auxiliary) noexcept CXLVM_REQUIRES(mutex_);

    // Wiring.
    SystemEventSink& events_;
    io::Log& log_;
    Port data_port_;
    Port command_port_;
    io::Mutex mutex_;
    // Accounting.
    io::RateLimit oddities_;

    State state_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm
