// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/i8042.hpp"

#include "io/bits.hpp"

namespace cxlvm {

namespace {

using i8042::Command;
using io::to_underlying;

/// The output port as it reads: reset line high (inactive), A20 on.
constexpr auto kOutputPort = mask_of<std::uint8_t>(i8042::kOutputReset, i8042::kOutputA20);

[[nodiscard]] constexpr bool is_known(std::uint8_t command) noexcept {
    switch (Command{command}) {
        case Command::ReadConfig:
        case Command::WriteConfig:
        case Command::DisableAuxiliary:
        case Command::EnableAuxiliary:
        case Command::TestAuxiliary:
        case Command::SelfTest:
        case Command::TestKeyboard:
        case Command::DisableKeyboard:
        case Command::EnableKeyboard:
        case Command::ReadOutputPort:
        case Command::WriteOutputPort:
        case Command::LoopKeyboard:
        case Command::LoopAuxiliary:
        case Command::WriteAuxiliary:
            return true;
        default:
            return command >= to_underlying(Command::PulseOutputPort);
    }
}

}  // namespace

IoStatus I8042::Port::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    return controller_.read(base_ + offset, data);
}

IoStatus I8042::Port::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    return controller_.write(base_ + offset, data);
}

I8042::I8042(SystemEventSink& events, io::Log& log) noexcept
    : events_(events),
      log_(log),
      data_port_(*this, i8042::kDataOffset),
      command_port_(*this, i8042::kCommandOffset) {}

IoStatus I8042::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    const io::MutexLock lock(mutex_);
    switch (offset) {
        case i8042::kDataOffset:
            data[0] = std::byte{state_.output};
            state_.status = state_.status.with(i8042::kOutputFull, false)
                                .with(i8042::kFromAuxiliary, false)
                                .with(i8042::kTimeout, false);
            return IoStatus::Ok;
        case i8042::kCommandOffset:
            data[0] = std::byte{state_.status.raw};
            return IoStatus::Ok;
        default:
            return IoStatus::Unmapped;
    }
}

IoStatus I8042::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset != i8042::kDataOffset && offset != i8042::kCommandOffset) {
        return IoStatus::Unmapped;
    }
    const auto value = std::to_integer<std::uint8_t>(data[0]);
    const bool is_command = offset == i8042::kCommandOffset;
    bool reset = false;
    {
        const io::MutexLock lock(mutex_);
        state_.status = state_.status.with(i8042::kCommandLast, is_command);
        reset = is_command ? command_locked(value) : data_locked(value);
    }
    if (reset) {
        events_.raise(SystemEvent::Reset);
    } else if (is_command && !is_known(value)) {
        log_.guest(oddities_, "i8042: unknown command {:#x} was ignored", value);
    }
    return IoStatus::Ok;
}

bool I8042::command_locked(std::uint8_t value) noexcept {
    state_.expects = Expects::Nothing;
    if (value >= to_underlying(Command::PulseOutputPort)) {
        return !Byte{value}.get(i8042::kOutputReset);
    }
    switch (Command{value}) {
        case Command::ReadConfig:
            answer_locked(state_.config.raw);
            break;
        case Command::WriteConfig:
            state_.expects = Expects::Config;
            break;
        case Command::DisableAuxiliary:
            state_.config = state_.config.with(i8042::kConfigAuxiliaryOff, true);
            break;
        case Command::EnableAuxiliary:
            state_.config = state_.config.with(i8042::kConfigAuxiliaryOff, false);
            break;
        case Command::DisableKeyboard:
            state_.config = state_.config.with(i8042::kConfigKeyboardOff, true);
            break;
        case Command::EnableKeyboard:
            state_.config = state_.config.with(i8042::kConfigKeyboardOff, false);
            break;
        case Command::TestAuxiliary:
        case Command::TestKeyboard:
            answer_locked(i8042::kClockLineStuck);
            break;
        case Command::SelfTest:
            state_.status = state_.status.with(i8042::kSystemFlag, true);
            state_.config = state_.config.with(i8042::kConfigSystemFlag, true);
            answer_locked(i8042::kSelfTestPassed);
            break;
        case Command::ReadOutputPort:
            answer_locked(kOutputPort);
            break;
        case Command::WriteOutputPort:
            state_.expects = Expects::OutputPort;
            break;
        case Command::LoopKeyboard:
            state_.expects = Expects::LoopKeyboard;
            break;
        case Command::LoopAuxiliary:
            state_.expects = Expects::LoopAuxiliary;
            break;
        case Command::WriteAuxiliary:
            state_.expects = Expects::Auxiliary;
            break;
        default:
            break;
    }
    return false;
}

bool I8042::data_locked(std::uint8_t value) noexcept {
    const Expects expects = state_.expects;
    state_.expects = Expects::Nothing;
    switch (expects) {
        case Expects::Config:
            state_.config = {value};
            state_.status =
                state_.status.with(i8042::kSystemFlag, state_.config.get(i8042::kConfigSystemFlag));
            break;
        case Expects::OutputPort:
            return !Byte{value}.get(i8042::kOutputReset);
        case Expects::LoopKeyboard:
        case Expects::LoopAuxiliary:
            // Without the auxiliary mark: a controller with no auxiliary port answers so, which
            // ends a driver's search for a mouse at once.
            answer_locked(value);
            break;
        case Expects::Auxiliary:
            answer_absent_locked(true);
            break;
        case Expects::Nothing:  // for the keyboard
            answer_absent_locked(false);
            break;
    }
    return false;
}

void I8042::answer_locked(std::uint8_t value) noexcept {
    state_.output = value;
    state_.status = state_.status.with(i8042::kOutputFull, true)
                        .with(i8042::kFromAuxiliary, false)
                        .with(i8042::kTimeout, false);
}

void I8042::answer_absent_locked(bool auxiliary) noexcept {
    answer_locked(i8042::kResend);
    state_.status =
        state_.status.with(i8042::kFromAuxiliary, auxiliary).with(i8042::kTimeout, true);
}

void I8042::reset() noexcept {
    const io::MutexLock lock(mutex_);
    state_ = State{};
}

}  // namespace cxlvm
