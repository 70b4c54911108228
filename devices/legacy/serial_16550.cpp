// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/serial_16550.hpp"

#include <algorithm>
#include <array>

namespace cxlvm {

namespace {

using uart::InterruptId;
using uart::Offset;
using Byte = Register<std::uint8_t>;

/// Bytes in the receiver that raise "data available" (data sheet, 8.5).
constexpr std::array<std::size_t, 4> kTriggerLevels = {1, 4, 8, 14};

constexpr auto kModemDeltas = mask_of<std::uint8_t>(uart::kMsrDeltaCts, uart::kMsrDeltaDsr,
                                                    uart::kMsrTrailingRi, uart::kMsrDeltaDcd);

[[nodiscard]] constexpr Byte masked(Byte value, const RegisterSpec& spec) noexcept {
    return {static_cast<std::uint8_t>(value.raw & spec.writable)};
}

/// The modem lines as loopback wires them: to our own outputs (8.8, bit 4).
[[nodiscard]] constexpr Byte looped_lines(Byte mcr) noexcept {
    return Byte{}
        .with(uart::kMsrCts, mcr.get(uart::kMcrRts))
        .with(uart::kMsrDsr, mcr.get(uart::kMcrDtr))
        .with(uart::kMsrRi, mcr.get(uart::kMcrOut1))
        .with(uart::kMsrDcd, mcr.get(uart::kMcrOut2));
}

/// The modem status after its lines went from those of `msr` to `lines` (8.9).
[[nodiscard]] constexpr Byte moved_lines(Byte msr, Byte lines) noexcept {
    const auto changed = [&](auto line) { return msr.get(line) != lines.get(line); };
    const bool ri_fell = msr.get(uart::kMsrRi) && !lines.get(uart::kMsrRi);
    return lines.with(uart::kMsrDeltaCts, msr.get(uart::kMsrDeltaCts) || changed(uart::kMsrCts))
        .with(uart::kMsrDeltaDsr, msr.get(uart::kMsrDeltaDsr) || changed(uart::kMsrDsr))
        .with(uart::kMsrTrailingRi, msr.get(uart::kMsrTrailingRi) || ri_fell)
        .with(uart::kMsrDeltaDcd, msr.get(uart::kMsrDeltaDcd) || changed(uart::kMsrDcd));
}

}  // namespace

IoStatus Serial16550::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset >= uart::kPorts) {
        return IoStatus::Unmapped;
    }
    Action action;
    {
        const io::MutexLock lock(mutex_);
        data[0] = std::byte{read_locked(static_cast<Offset>(offset)).raw};
        offer_input_locked(action);
        settle_interrupt_locked(action);
    }
    perform(action);
    return IoStatus::Ok;
}

IoStatus Serial16550::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset >= uart::kPorts) {
        return IoStatus::Unmapped;
    }
    Action action;
    {
        const io::MutexLock lock(mutex_);
        write_locked(static_cast<Offset>(offset), {std::to_integer<std::uint8_t>(data[0])}, action);
        offer_input_locked(action);
        if (!action.drain) {  // else the drain ends this step, and settles
            settle_interrupt_locked(action);
        }
    }
    perform(action);
    return IoStatus::Ok;
}

Serial16550::Byte Serial16550::read_locked(Offset offset) noexcept {
    const bool divisor = state_.lcr.get(uart::kLcrDivisorLatch);
    switch (offset) {
        case Offset::Data:
            return divisor ? state_.dll : read_data_locked();
        case Offset::InterruptEnable:
            return divisor ? state_.dlm : state_.ier;
        case Offset::Identification:
            return identify_locked();
        case Offset::LineControl:
            return state_.lcr;
        case Offset::ModemControl:
            return state_.mcr;
        case Offset::LineStatus: {
            const Byte status = line_status_locked();
            state_.overrun = false;  // 8.4: reading clears the error bits
            return status;
        }
        case Offset::ModemStatus: {
            const Byte status = state_.msr;
            state_.msr.raw = static_cast<std::uint8_t>(status.raw & ~kModemDeltas);  // 8.9
            return status;
        }
        case Offset::Scratch:
            return state_.scr;
    }
    return {};
}

void Serial16550::write_locked(Offset offset, Byte value, Action& action) noexcept {
    const bool divisor = state_.lcr.get(uart::kLcrDivisorLatch);
    switch (offset) {
        case Offset::Data:
            if (divisor) {
                state_.dll = value;
            } else {
                transmit_locked(std::byte{value.raw}, action);
            }
            break;
        case Offset::InterruptEnable:
            if (divisor) {
                state_.dlm = value;
            } else {
                enable_interrupts_locked(masked(value, uart::kIer));
            }
            break;
        case Offset::Identification:
            control_fifos_locked(value);
            break;
        case Offset::LineControl:
            state_.lcr = value;
            break;
        case Offset::ModemControl:
            state_.mcr = masked(value, uart::kMcr);
            state_.msr =
                moved_lines(state_.msr, state_.mcr.get(uart::kMcrLoop) ? looped_lines(state_.mcr)
                                                                       : kModemPresent);
            break;
        case Offset::LineStatus:
        case Offset::ModemStatus:
            break;  // writing is for factory tests (8.4, 8.9)
        case Offset::Scratch:
            state_.scr = value;
            break;
    }
}

Serial16550::Byte Serial16550::read_data_locked() noexcept {
    if (state_.receiver.empty()) {
        return {};
    }
    const std::byte value = state_.receiver.front();
    state_.receiver.pop(1);
    return {std::to_integer<std::uint8_t>(value)};
}

Serial16550::Byte Serial16550::identify_locked() noexcept {
    const InterruptId id = pending_locked();
    if (id == InterruptId::TransmitterEmpty) {
        state_.empty_pending = false;  // Table IV: reading IIR as the source resets it
    }
    return Byte{}
        .with(uart::kIirId, static_cast<std::uint8_t>(id))
        .with(uart::kIirFifos, state_.fifos ? 0b11 : 0b00);
}

Serial16550::Byte Serial16550::line_status_locked() const noexcept {
    return Byte{}
        .with(uart::kLsrDataReady, !state_.receiver.empty())
        .with(uart::kLsrOverrun, state_.overrun)
        .with(uart::kLsrTransmitterHolding, state_.transmitter.empty())
        .with(uart::kLsrTransmitterEmpty, state_.transmitter.empty());
}

void Serial16550::transmit_locked(std::byte value, Action& action) noexcept {
    if (state_.mcr.get(uart::kMcrLoop)) {
        loop_back_locked(value);
        state_.empty_pending = state_.transmitter.empty();
        return;
    }
    if (drain_limited_ || state_.transmitter.size() >= depth_locked()) {
        ++lost_output_;
        action.lost = true;
        return;
    }
    state_.transmitter.push(value);
    state_.empty_pending = false;
    action.drain = begin_drain_locked();
}

void Serial16550::loop_back_locked(std::byte value) noexcept {
    if (state_.receiver.size() >= depth_locked()) {
        state_.overrun = true;
        if (state_.fifos) {
            return;  // 8.4, bit 1: the FIFO keeps what it has
        }
        state_.receiver.clear();  // the holding register is overwritten
    }
    state_.receiver.push(value);
}

void Serial16550::enable_interrupts_locked(Byte value) noexcept {
    const bool was_enabled = state_.ier.get(uart::kIerTransmitter);
    if (!was_enabled && value.get(uart::kIerTransmitter) && state_.transmitter.empty()) {
        state_.empty_pending = true;  // drivers start sending by enabling this interrupt
    }
    state_.ier = value;
}

void Serial16550::control_fifos_locked(Byte value) noexcept {
    const bool enable = value.get(uart::kFcrEnable);
    const bool switched = enable != state_.fifos;  // 8.5, bit 0: a change of mode clears both
    if (switched || (enable && value.get(uart::kFcrClearReceiver))) {
        state_.receiver.clear();
    }
    if ((switched || (enable && value.get(uart::kFcrClearTransmitter))) &&
        !state_.transmitter.empty()) {
        state_.transmitter.clear();
        ++transmitter_epoch_;
        state_.empty_pending = true;
    }
    state_.fifos = enable;
    state_.trigger = enable ? kTriggerLevels[value.get(uart::kFcrTrigger)] : 1;
}

std::size_t Serial16550::depth_locked() const noexcept {
    return state_.fifos ? ByteFifo::kCapacity : 1;
}

InterruptId Serial16550::pending_locked() const noexcept {
    if (state_.ier.get(uart::kIerLineStatus) && state_.overrun) {
        return InterruptId::LineStatus;
    }
    if (state_.ier.get(uart::kIerData) && !state_.receiver.empty()) {
        return state_.receiver.size() >= state_.trigger ? InterruptId::DataAvailable
                                                        : InterruptId::CharacterTimeout;
    }
    if (state_.ier.get(uart::kIerTransmitter) && state_.empty_pending) {
        return InterruptId::TransmitterEmpty;
    }
    if (state_.ier.get(uart::kIerModemStatus) && (state_.msr.raw & kModemDeltas) != 0) {
        return InterruptId::ModemStatus;
    }
    return InterruptId::None;
}

void Serial16550::settle_interrupt_locked(Action& action) noexcept {
    // On a PC, OUT2 lets the interrupt through; loopback turns that output off (8.8).
    const bool level = pending_locked() != InterruptId::None && state_.mcr.get(uart::kMcrOut2) &&
                       !state_.mcr.get(uart::kMcrLoop);
    action.pulse = level && !state_.interrupt_level;
    state_.interrupt_level = level;
}

void Serial16550::offer_input_locked(Action& action) noexcept {
    // Only once the receiver is empty: one call, and one interrupt, for each FIFO's worth.
    if (state_.input_refused && state_.receiver.empty() && !state_.mcr.get(uart::kMcrLoop)) {
        state_.input_refused = false;
        action.input_ready = true;
    }
}

void Serial16550::perform(const Action& action) noexcept {
    if (action.pulse) {
        irq_.pulse();
    }
    if (action.lost) {
        log_.guest(oddities_, "serial: the guest wrote into a full transmitter; the byte is lost");
    }
    if (action.input_ready) {
        host_.input_ready();
    }
    if (action.drain) {
        drain();
    }
}

bool Serial16550::begin_drain_locked() noexcept {
    if (draining_ || state_.host_full || state_.transmitter.empty()) {
        return false;
    }
    draining_ = true;
    return true;
}

void Serial16550::drain() noexcept {
    std::array<std::byte, ByteFifo::kCapacity> chunk;
    unsigned rounds = 0;
    for (bool more = true; more;) {
        std::size_t count = 0;
        std::uint64_t epoch = 0;
        {
            const io::MutexLock lock(mutex_);
            count = state_.transmitter.peek(chunk);
            epoch = transmitter_epoch_;
        }
        const std::size_t taken =
            count == 0 ? 0 : std::min(count, host_.write(std::span(chunk).first(count)));
        Action action;
        {
            const io::MutexLock lock(mutex_);
            if (taken != 0 && epoch == transmitter_epoch_) {
                state_.transmitter.pop(taken);
                state_.empty_pending = state_.transmitter.empty();
            }
            // Room that appeared after the host had refused must not be missed.
            state_.host_full = taken < count && !drain_again_;
            drain_again_ = false;
            more = !state_.host_full && !state_.transmitter.empty();
            draining_ = more;
            drain_limited_ = more && ++rounds >= kDrainRounds;
            if (!more) {
                settle_interrupt_locked(action);
            }
        }
        perform(action);
    }
}

std::size_t Serial16550::receive(std::span<const std::byte> data) noexcept {
    if (data.empty()) {
        return 0;
    }
    Action action;
    std::size_t taken = 0;
    {
        const io::MutexLock lock(mutex_);
        if (!state_.mcr.get(uart::kMcrLoop)) {  // loopback disconnects the line (8.8)
            taken = std::min(data.size(), depth_locked() - state_.receiver.size());
        }
        for (const std::byte value : data.first(taken)) {
            state_.receiver.push(value);
        }
        state_.input_refused = taken < data.size();
        settle_interrupt_locked(action);
    }
    perform(action);
    return taken;
}

void Serial16550::output_ready() noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        if (draining_) {
            drain_again_ = true;
        } else {
            state_.host_full = false;
            action.drain = begin_drain_locked();
        }
    }
    perform(action);
}

void Serial16550::reset() noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        action.input_ready = state_.input_refused;
        state_ = State{};
        ++transmitter_epoch_;
    }
    perform(action);
}

std::size_t Serial16550::pending_output() noexcept {
    const io::MutexLock lock(mutex_);
    return state_.transmitter.size();
}

std::uint64_t Serial16550::lost_output() noexcept {
    const io::MutexLock lock(mutex_);
    return lost_output_;
}

}  // namespace cxlvm
