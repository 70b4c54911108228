// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/character.hpp"
#include "devices/device.hpp"
#include "devices/irq.hpp"
#include "devices/legacy/byte_fifo.hpp"
#include "devices/legacy/serial_16550_spec.hpp"
#include "devices/register.hpp"
#include "io/log.hpp"
#include "io/mutex.hpp"

namespace cxlvm {

/// Spec:       PC16550D data sheet, National Semiconductor, June 1995; a PC's wiring of OUT2.
/// Implements: all registers, both FIFOs, trigger levels, the four interrupt sources with their
///             priorities, loopback, the divisor latch (stored).
/// Deviates:   characters take no time. The character time-out is therefore immediate: data below
///             the trigger level raises it at once, and a guest never waits for a timer of ours.
///             The line has no errors and no breaks, so LSR reports no error but overrun, which
///             loopback alone can cause: the host is asked to wait instead (flow control that a
///             real line lacks). DMA mode is ignored. The modem is always there (CTS, DSR, DCD).
///
/// Order of output. Bytes wait in the transmitter FIFO in the order in which their writes took the
/// lock. One thread at a time, the drainer, passes them to the host: it copies what is queued,
/// calls the host with no lock held, then takes out of the FIFO what the host has accepted, until
/// nothing is left or the host is full. Whoever writes meanwhile only queues and finds THRE clear,
/// as on a chip that is still sending. So bytes never overtake one another. A drainer sends on
/// for others only as long as they write into a transmitter that tells them it is busy, and not for
/// ever: after kDrainRounds what they write is lost, as on a chip that is overrun, until it is
/// done.
///
/// Interrupts are edges: one pulse whenever "a source is pending, OUT2 is set and loopback is off"
/// becomes true. A write that starts and finishes a drain is one step: it gives a new edge only
/// when the guest has seen the previous one, by reading IIR.
class Serial16550 final : public Device, public CharacterDevice {
  public:
    Serial16550(CharacterHost& host, IrqLine& irq, io::Log& log) noexcept
        : host_(host), irq_(irq), log_(log) {}

    [[nodiscard]] const char* name() const noexcept override { return "serial"; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    /// Output that the host has not taken is lost.
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

    std::size_t receive(std::span<const std::byte> data) noexcept override CXLVM_EXCLUDES(mutex_);
    void output_ready() noexcept override CXLVM_EXCLUDES(mutex_);

    /// Bytes that the guest has sent and the host has not taken yet. Any thread.
    [[nodiscard]] std::size_t pending_output() noexcept CXLVM_EXCLUDES(mutex_);
    /// Bytes that the guest wrote into a full transmitter. Any thread.
    [[nodiscard]] std::uint64_t lost_output() noexcept CXLVM_EXCLUDES(mutex_);

  private:
    using Byte = Register<std::uint8_t>;

    /// Calls of the host that one drain makes before it takes no more bytes of others. A guest that
    /// waits for THRE, as drivers do, never gets that far.
    static constexpr unsigned kDrainRounds = 64;

    /// What is to be done to other objects once the lock is released.
    struct Action {
        bool pulse = false;
        bool input_ready = false;
        bool drain = false;
        bool lost = false;
    };

    struct State {
        Byte ier{uart::kIer.reset};
        Byte lcr{uart::kLcr.reset};
        Byte mcr{uart::kMcr.reset};
        Byte scr{uart::kScr.reset};
        Byte dll{uart::kDll.reset};
        Byte dlm{uart::kDlm.reset};
        Byte msr = kModemPresent;
        ByteFifo receiver;
        ByteFifo transmitter;
        std::size_t trigger = 1;       ///< bytes in the receiver that raise "data available"
        bool fifos = false;            ///< FCR bit 0
        bool overrun = false;          ///< LSR bit 1
        bool empty_pending = false;    ///< the transmitter became empty; IIR has not reported it
        bool interrupt_level = false;  ///< the wire after OUT2; its rise is the pulse
        bool host_full = false;        ///< output waits for output_ready()
        bool input_refused = false;    ///< the host waits for input_ready()
    };

    static constexpr Byte kModemPresent =
        Byte{}.with(uart::kMsrCts, true).with(uart::kMsrDsr, true).with(uart::kMsrDcd, true);

    [[nodiscard]] Byte read_locked(uart::Offset offset) noexcept CXLVM_REQUIRES(mutex_);
    void write_locked(uart::Offset offset, Byte value, Action& action) noexcept
        CXLVM_REQUIRES(mutex_);

    [[nodiscard]] Byte read_data_locked() noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] Byte identify_locked() noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] Byte line_status_locked() const noexcept CXLVM_REQUIRES(mutex_);
    void transmit_locked(std::byte value, Action& action) noexcept CXLVM_REQUIRES(mutex_);
    void loop_back_locked(std::byte value) noexcept CXLVM_REQUIRES(mutex_);
    void enable_interrupts_locked(Byte value) noexcept CXLVM_REQUIRES(mutex_);
    void control_fifos_locked(Byte value) noexcept CXLVM_REQUIRES(mutex_);

    [[nodiscard]] std::size_t depth_locked() const noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] uart::InterruptId pending_locked() const noexcept CXLVM_REQUIRES(mutex_);
    void offer_input_locked(Action& action) noexcept CXLVM_REQUIRES(mutex_);
    void settle_interrupt_locked(Action& action) noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] bool begin_drain_locked() noexcept CXLVM_REQUIRES(mutex_);
    void perform(const Action& action) noexcept CXLVM_EXCLUDES(mutex_);
    void drain() noexcept CXLVM_EXCLUDES(mutex_);

    // Wiring.
    CharacterHost& host_;
    IrqLine& irq_;
    io::Log& log_;
    io::Mutex mutex_;  ///< never held while the wiring is called

    // Accounting. The drainer is a thread, which a reset does not end: what it relies on survives.
    io::RateLimit oddities_;
    std::uint64_t lost_output_ CXLVM_GUARDED_BY(mutex_) = 0;
    bool draining_ CXLVM_GUARDED_BY(mutex_) = false;
    /// The drainer has made its kDrainRounds and goes on only for what is queued.
    bool drain_limited_ CXLVM_GUARDED_BY(mutex_) = false;
    /// output_ready() came while a drainer was about to find out that the host is full.
    bool drain_again_ CXLVM_GUARDED_BY(mutex_) = false;
    /// Counts clearings of the transmitter: a drainer must not take out bytes of a later filling.
    std::uint64_t transmitter_epoch_ CXLVM_GUARDED_BY(mutex_) = 0;

    State state_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm
