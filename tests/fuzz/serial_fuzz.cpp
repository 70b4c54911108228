// SPDX-License-Identifier: Apache-2.0
// Drives the serial port with arbitrary register accesses, input, resets and a host that is full
// at times, and checks what must hold whatever a guest does.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>

#include "devices/legacy/serial_16550.hpp"
#include "io/error.hpp"
#include "io/log.hpp"
#include "tests/fuzz/script.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

/// Bytes that went in at one end of a stream. They may be lost on the way, but what comes out must
/// be a subsequence of them.
class Stream {
  public:
    void in(std::byte value) { bytes_.push_back(value); }
    void out(std::byte value) {
        while (!bytes_.empty() && bytes_.front() != value) {
            bytes_.pop_front();
        }
        io::check(!bytes_.empty(), "a byte came out that did not go in, or out of order");
        bytes_.pop_front();
    }

  private:
    std::deque<std::byte> bytes_;
};

class Host final : public CharacterHost {
  public:
    explicit Host(Stream& sent) : sent_(sent) {}

    std::size_t write(std::span<const std::byte> data) noexcept override {
        io::check(!data.empty(), "the host is called for nothing");
        io::check(!full_, "a full host is asked again before it was ready");
        const std::size_t taken = std::min(data.size(), room_);
        for (const std::byte value : data.first(taken)) {
            sent_.out(value);
        }
        room_ -= taken;
        full_ = taken < data.size();
        return taken;
    }
    void input_ready() noexcept override {
        io::check(input_refused_, "the host is asked for input that nobody refused");
        input_refused_ = false;
    }

    void make_room(std::size_t room) {
        room_ = room;
        full_ = false;
    }
    [[nodiscard]] bool full() const { return full_; }
    void set_input_refused(bool refused) { input_refused_ = refused; }
    [[nodiscard]] bool input_refused() const { return input_refused_; }
    /// A device that was reset has forgotten that the host is full, and may ask once more.
    void forget_full() { full_ = false; }

  private:
    Stream& sent_;
    std::size_t room_ = 64;
    bool full_ = false;
    bool input_refused_ = false;
};

using test::Script;

class Machine {
  public:
    void step(Script& script) {
        const std::uint8_t op = script.next();
        const std::uint64_t offset = op % 8U;
        switch (op / 8U % 8U) {
            case 0:
            case 1:
                read(offset);
                break;
            case 2:
            case 3:
                write(offset, script.next());
                break;
            case 4:
                receive(script);
                break;
            case 5:
                host_.make_room(script.next());
                serial_.output_ready();
                break;
            case 6:
                foreign_access(script);
                break;
            default:
                if (script.next() % 4U == 0) {
                    host_.forget_full();
                    serial_.reset();
                    quiet_pulses_ = irq_.pulses();
                }
                break;
        }
        check();
    }

    /// However it got here, the port works on once the host has room and the guest behaves.
    void finish() {
        host_.make_room(1000);
        serial_.output_ready();
        io::check(serial_.pending_output() == 0, "a host with room leaves output behind");
        write(3, 0x03);
        write(4, 0x00);
        write(2, 0x07);
        for (std::uint8_t value = 0; value < 20; ++value) {
            write(0, value);
        }
        io::check(serial_.pending_output() == 0, "output does not flow");
        io::check(!host_.input_refused(), "an empty receiver has not asked for input");
    }

  private:
    void read(std::uint64_t offset) {
        const auto value = static_cast<std::uint8_t>(*test::read8(serial_, offset));
        switch (offset) {
            case 0:
                if (!divisor_latch() && data_ready_) {
                    received_.out(std::byte{value});
                }
                break;
            case 2:
                check_interrupt(value);
                break;
            default:
                break;
        }
    }

    void write(std::uint64_t offset, std::uint8_t value) {
        if (offset == 0 && !divisor_latch()) {
            (loopback() ? received_ : sent_).in(std::byte{value});
        }
        io::check(test::write8(serial_, offset, value) == IoStatus::Ok, "a byte is refused");
    }

    void receive(Script& script) {
        std::array<std::byte, 32> data{};
        const std::size_t size = script.next() % (data.size() + 1);
        for (std::size_t i = 0; i < size; ++i) {
            data[i] = std::byte{script.next()};
            received_.in(data[i]);  // what is not taken counts as lost
        }
        const std::size_t taken = serial_.receive(std::span(data).first(size));
        io::check(taken <= std::min<std::size_t>(size, 16), "more is taken than there is room for");
        if (size != 0) {
            host_.set_input_refused(taken < size);
        }
    }

    void foreign_access(Script& script) {
        const std::size_t size = script.next() % 9U;
        const std::uint64_t offset = script.next();
        if (size != 1 || offset >= 8) {
            io::check(test::read_status(serial_, offset, size) != IoStatus::Ok &&
                          test::write_status(serial_, offset, size) != IoStatus::Ok,
                      "an access is served that is none");
        }
    }

    /// An interrupt that IIR shows while its way is open must have come as an edge since IIR last
    /// showed none.
    void check_interrupt(std::uint8_t iir) {
        if ((iir & 0x01U) != 0) {
            quiet_pulses_ = irq_.pulses();
        } else if ((modem_control() & 0x18U) == 0x08U) {
            io::check(irq_.pulses() > quiet_pulses_, "an interrupt is pending without an edge");
        }
    }

    void check() {
        const auto status = static_cast<std::uint8_t>(*test::read8(serial_, 5));
        data_ready_ = (status & 0x01U) != 0;
        const std::size_t pending = serial_.pending_output();
        io::check(pending <= 16, "more output is pending than the FIFO holds");
        io::check(((status & 0x60U) == 0x60U) == (pending == 0), "THRE and TEMT tell a lie");
        io::check(pending == 0 || host_.full(), "output waits though the host has room");
        if (host_.input_refused() && !loopback()) {
            io::check(data_ready_, "the host waits though the receiver is empty");
        }
    }

    [[nodiscard]] bool divisor_latch() { return (*test::read8(serial_, 3) & 0x80U) != 0; }
    [[nodiscard]] std::uint64_t modem_control() { return *test::read8(serial_, 4); }
    [[nodiscard]] bool loopback() { return (modem_control() & 0x10U) != 0; }

    io::Log log_{2, io::LogLevel::Off};
    Stream sent_;
    Stream received_;
    Host host_{sent_};
    test::FakeIrqLine irq_;
    Serial16550 serial_{host_, irq_, log_};
    bool data_ready_ = false;
    std::uint64_t quiet_pulses_ = 0;
};

}  // namespace
}  // namespace cxlvm

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::Script script(std::span(data, size));
    cxlvm::Machine machine;
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
