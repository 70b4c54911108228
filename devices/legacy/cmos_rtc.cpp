// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/cmos_rtc.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "io/bits.hpp"

namespace cxlvm {

namespace {

using cmos::Index;
using io::to_underlying;

// clang-format off
constexpr std::array kControlRegisters = {
    RegisterSpec{.offset = to_underlying(Index::RegisterA), .width = 1, .reset = 0x26,
                 .writable = mask_of<std::uint8_t>(cmos::kDivider, cmos::kRate)},
    RegisterSpec{.offset = to_underlying(Index::RegisterB), .width = 1,
                 .reset = mask_of<std::uint8_t>(cmos::k24Hours), .writable = 0xff},
    RegisterSpec{.offset = to_underlying(Index::RegisterC), .width = 1},
    RegisterSpec{.offset = to_underlying(Index::RegisterD), .width = 1,
                 .reset = mask_of<std::uint8_t>(cmos::kValidRam)},
};
// clang-format on

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

/// The control registers, and plain memory everywhere else.
[[nodiscard]] std::vector<RegisterSpec> chip_registers() {
    std::vector<RegisterSpec> table(kControlRegisters.begin(), kControlRegisters.end());
    for (std::uint32_t offset = 0; offset < cmos::kSize; ++offset) {
        if (offset < kControlRegisters.front().offset || offset > kControlRegisters.back().offset) {
            table.push_back({.offset = offset, .width = 1, .writable = 0xff});
        }
    }
    return table;
}

/// Stores a count in `width` bytes, the largest possible when it does not fit.
void put_size(RegisterFile& bytes, Index index, unsigned width, std::uint64_t count) noexcept {
    count = std::min(count, (std::uint64_t{1} << (8 * width)) - 1);
    for (unsigned i = 0; i < width; ++i) {
        bytes.set8(to_underlying(index) + i, static_cast<std::uint8_t>(count >> (8 * i)));
    }
}

[[nodiscard]] constexpr std::uint64_t beyond(std::uint64_t size, std::uint64_t base) noexcept {
    return size > base ? size - base : 0;
}

/// Whether the byte shows the time, as against an alarm or memory.
[[nodiscard]] constexpr bool is_time(Index index) noexcept {
    switch (index) {
        case Index::Seconds:
        case Index::Minutes:
        case Index::Hours:
        case Index::DayOfWeek:
        case Index::DayOfMonth:
        case Index::Month:
        case Index::Year:
        case Index::Century:
            return true;
        default:
            return false;
    }
}

constexpr std::uint8_t kAfternoon = 0x80;  ///< of the hours in the 12-hour mode

}  // namespace

CmosRtc::CmosRtc(const CmosConfig& config, WallClock& clock)
    : clock_(clock), bytes_(cmos::kSize, chip_registers()) {
    const std::uint64_t low = config.low_memory;
    put_size(bytes_, Index::BaseMemory, 2, std::min(low, 640 * kKiB) / kKiB);
    put_size(bytes_, Index::ExtendedMemory, 2, beyond(low, kMiB) / kKiB);
    put_size(bytes_, Index::ExtendedMemoryFound, 2, beyond(low, kMiB) / kKiB);
    put_size(bytes_, Index::MemoryAbove16M, 2, beyond(low, 16 * kMiB) / (64 * kKiB));
    put_size(bytes_, Index::MemoryAbove4G, 3, config.high_memory / (64 * kKiB));
}

IoStatus CmosRtc::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset != 1) {
        return IoStatus::Unmapped;  // the index port cannot be read on a PC
    }
    const io::MutexLock lock(mutex_);
    const Index index{state_.index};
    if (is_time(index) && !control_locked().get(cmos::kSet)) {
        show_time_locked();
    }
    data[0] = std::byte{get_locked(index)};
    return IoStatus::Ok;
}

IoStatus CmosRtc::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    if (offset >= cmos::kPorts) {
        return IoStatus::Unmapped;
    }
    const auto value = std::to_integer<std::uint8_t>(data[0]);
    const io::MutexLock lock(mutex_);
    if (offset == 0) {
        state_.index = value % cmos::kSize;
    } else {
        write_locked(value);
    }
    return IoStatus::Ok;
}

void CmosRtc::reset() noexcept {
    const io::MutexLock lock(mutex_);
    state_ = State{};
    set_locked(Index::RegisterB, control_locked()
                                     .with(cmos::kPeriodicEnable, false)
                                     .with(cmos::kAlarmEnable, false)
                                     .with(cmos::kUpdateEnable, false)
                                     .with(cmos::kSquareWave, false)
                                     .raw);
}

std::uint8_t CmosRtc::get_locked(Index index) const noexcept {
    return bytes_.get8(to_underlying(index));
}

void CmosRtc::set_locked(Index index, std::uint8_t value) noexcept {
    bytes_.set8(to_underlying(index), value);
}

Register<std::uint8_t> CmosRtc::control_locked() const noexcept {
    return {get_locked(Index::RegisterB)};
}

void CmosRtc::write_locked(std::uint8_t value) noexcept {
    const Index index{state_.index};
    const bool was_stopped = control_locked().get(cmos::kSet);
    if (is_time(index) && !was_stopped) {
        show_time_locked();  // the bytes beside the one that is written
    }
    const std::array data = {std::byte{value}};
    static_cast<void>(bytes_.write(state_.index, data));  // the index is always inside

    const bool stopped = control_locked().get(cmos::kSet);
    if (!was_stopped && stopped) {
        show_time_locked();  // in the format that this write selects
    } else if (!stopped && (was_stopped || is_time(index))) {
        take_time_locked();
    }
}

void CmosRtc::show_time_locked() noexcept {
    using std::chrono::days;
    const std::chrono::sys_seconds time{std::chrono::seconds(clock_.now() + offset_)};
    const auto midnight = std::chrono::floor<days>(time);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss clock(time - midnight);
    const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
    const auto number = [](auto duration) { return static_cast<unsigned>(duration.count()); };

    set_locked(Index::Seconds, encode_locked(number(clock.seconds())));
    set_locked(Index::Minutes, encode_locked(number(clock.minutes())));
    set_locked(Index::Hours, encode_hour_locked(number(clock.hours())));
    set_locked(Index::DayOfWeek,
               encode_locked(std::chrono::weekday(midnight).c_encoding() + 1));  // 1 is Sunday
    set_locked(Index::DayOfMonth, encode_locked(static_cast<unsigned>(date.day())));
    set_locked(Index::Month, encode_locked(static_cast<unsigned>(date.month())));
    set_locked(Index::Year, encode_locked(year % 100));
    set_locked(Index::Century, encode_locked(year / 100 % 100));
}

void CmosRtc::take_time_locked() noexcept {
    if (const auto shown = shown_time_locked()) {
        offset_ = *shown - clock_.now();
    }
}

std::optional<std::int64_t> CmosRtc::shown_time_locked() const noexcept {
    const auto second = decode_locked(get_locked(Index::Seconds));
    const auto minute = decode_locked(get_locked(Index::Minutes));
    const auto hour = decode_hour_locked(get_locked(Index::Hours));
    const auto day = decode_locked(get_locked(Index::DayOfMonth));
    const auto month = decode_locked(get_locked(Index::Month));
    const auto year = decode_locked(get_locked(Index::Year));
    const auto century = decode_locked(get_locked(Index::Century));
    if (!second || !minute || !hour || !day || !month || !year || !century || *second > 59 ||
        *minute > 59 || *hour > 23 || *year > 99 || *century > 99) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date(
        std::chrono::year(static_cast<int>(*century * 100 + *year)), std::chrono::month(*month),
        std::chrono::day(*day));
    if (!date.ok()) {
        return std::nullopt;
    }
    const auto time = std::chrono::sys_days(date) + std::chrono::hours(*hour) +
                      std::chrono::minutes(*minute) + std::chrono::seconds(*second);
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::uint8_t CmosRtc::encode_locked(unsigned value) const noexcept {
    return static_cast<std::uint8_t>(
        control_locked().get(cmos::kBinary) ? value : value / 10 * 16 + value % 10);
}

std::optional<unsigned> CmosRtc::decode_locked(std::uint8_t raw) const noexcept {
    if (control_locked().get(cmos::kBinary)) {
        return raw;
    }
    const unsigned tens = raw >> 4U;
    const unsigned ones = raw & 0xfU;
    if (tens > 9 || ones > 9) {
        return std::nullopt;
    }
    return tens * 10 + ones;
}

std::uint8_t CmosRtc::encode_hour_locked(unsigned hour) const noexcept {
    if (control_locked().get(cmos::k24Hours)) {
        return encode_locked(hour);
    }
    const std::uint8_t shown = encode_locked((hour + 11) % 12 + 1);
    return static_cast<std::uint8_t>(hour < 12 ? shown : shown | kAfternoon);
}

std::optional<unsigned> CmosRtc::decode_hour_locked(std::uint8_t raw) const noexcept {
    if (control_locked().get(cmos::k24Hours)) {
        return decode_locked(raw);
    }
    const auto shown = decode_locked(raw & static_cast<std::uint8_t>(~kAfternoon));
    if (!shown || *shown < 1 || *shown > 12) {
        return std::nullopt;
    }
    return *shown % 12 + ((raw & kAfternoon) != 0 ? 12U : 0U);
}

}  // namespace cxlvm
