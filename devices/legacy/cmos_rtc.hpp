// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/device.hpp"
#include "devices/legacy/wall_clock.hpp"
#include "devices/register.hpp"
#include "devices/register_file.hpp"
#include "io/mutex.hpp"

namespace cxlvm {

namespace cmos {

// Addresses in the chip (MC146818A data sheet, figures 10 and 11), and what PC firmware keeps.
enum class Index : std::uint8_t {
    Seconds = 0x00,
    SecondsAlarm = 0x01,
    Minutes = 0x02,
    MinutesAlarm = 0x03,
    Hours = 0x04,
    HoursAlarm = 0x05,
    DayOfWeek = 0x06,  ///< 1 is Sunday
    DayOfMonth = 0x07,
    Month = 0x08,
    Year = 0x09,
    RegisterA = 0x0a,
    RegisterB = 0x0b,
    RegisterC = 0x0c,
    RegisterD = 0x0d,
    BaseMemory = 0x15,           ///< 2 bytes: KiB below 640 KiB
    ExtendedMemory = 0x17,       ///< 2 bytes: KiB from 1 MiB on, as set up
    ExtendedMemoryFound = 0x30,  ///< 2 bytes: the same, as found
    Century = 0x32,              ///< FADT CENTURY
    MemoryAbove16M = 0x34,       ///< 2 bytes: units of 64 KiB between 16 MiB and 4 GiB
    MemoryAbove4G = 0x5b,        ///< 3 bytes: units of 64 KiB
};
inline constexpr std::size_t kSize = 128;
inline constexpr std::uint64_t kPorts = 2;  ///< index, data

// Register A.
inline constexpr Field<bool, 7, 7> kUpdateInProgress;
inline constexpr Field<std::uint8_t, 6, 4> kDivider;
inline constexpr Field<std::uint8_t, 3, 0> kRate;
// Register B.
inline constexpr Field<bool, 7, 7> kSet;
inline constexpr Field<bool, 6, 6> kPeriodicEnable;
inline constexpr Field<bool, 5, 5> kAlarmEnable;
inline constexpr Field<bool, 4, 4> kUpdateEnable;
inline constexpr Field<bool, 3, 3> kSquareWave;
inline constexpr Field<bool, 2, 2> kBinary;  ///< DM; BCD otherwise
inline constexpr Field<bool, 1, 1> k24Hours;
// Register D.
inline constexpr Field<bool, 7, 7> kValidRam;

}  // namespace cmos

struct CmosConfig {
    std::uint64_t low_memory = 0;   ///< bytes of RAM from address 0 on, below 4 GiB
    std::uint64_t high_memory = 0;  ///< bytes of RAM from 4 GiB on
};

/// Spec:       MC146818A data sheet, Motorola, 1984; a PC's wiring: index at port 0x70 (bit 7, the
///             NMI mask, is ignored), data at 0x71, a century byte.
/// Implements: the clock in UTC, BCD and binary, 12 and 24 hours; SET; battery-backed bytes with
///             the memory sizes that firmware leaves there.
/// Deviates:   no interrupt of any kind: the enable bits are kept, register C stays 0 (Linux's
///             rtc_cmos runs without IRQ 8). UIP is never set: a reader that must not straddle
///             two seconds reads the seconds twice. The day of the week follows from the date.
///             No daylight saving. A date that does not exist is dropped when the clock starts
///             again, which then goes on from the previous time.
class CmosRtc final : public Device {
  public:
    CmosRtc(const CmosConfig& config, WallClock& clock);

    [[nodiscard]] const char* name() const noexcept override { return "rtc"; }
    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override
        CXLVM_EXCLUDES(mutex_);
    /// The chip's RESET pin: what the battery keeps stays, the interrupt enables go.
    void reset() noexcept override CXLVM_EXCLUDES(mutex_);

  private:
    struct State {
        std::uint8_t index = 0;
    };

    [[nodiscard]] std::uint8_t get_locked(cmos::Index index) const noexcept CXLVM_REQUIRES(mutex_);
    void set_locked(cmos::Index index, std::uint8_t value) noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] Register<std::uint8_t> control_locked() const noexcept CXLVM_REQUIRES(mutex_);
    void write_locked(std::uint8_t value) noexcept CXLVM_REQUIRES(mutex_);

    void show_time_locked() noexcept CXLVM_REQUIRES(mutex_);
    void take_time_locked() noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] std::optional<std::int64_t> shown_time_locked() const noexcept
        CXLVM_REQUIRES(mutex_);
    [[nodiscard]] std::uint8_t encode_locked(unsigned value) const noexcept CXLVM_REQUIRES(mutex_);
    [[nodiscard]] std::optional<unsigned> decode_locked(std::uint8_t raw) const noexcept
        CXLVM_REQUIRES(mutex_);
    [[nodiscard]] std::uint8_t encode_hour_locked(unsigned hour) const noexcept
        CXLVM_REQUIRES(mutex_);
    [[nodiscard]] std::optional<unsigned> decode_hour_locked(std::uint8_t raw) const noexcept
        CXLVM_REQUIRES(mutex_);

    // Wiring.
    WallClock& clock_;
    io::Mutex mutex_;
    // Kept by the battery: the time, as its distance from the host's in seconds, and all bytes.
    std::int64_t offset_ CXLVM_GUARDED_BY(mutex_) = 0;
    RegisterFile bytes_ CXLVM_GUARDED_BY(mutex_);

    State state_ CXLVM_GUARDED_BY(mutex_);
};

}  // namespace cxlvm
