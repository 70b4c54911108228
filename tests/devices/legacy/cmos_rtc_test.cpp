// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/cmos_rtc.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "tests/support/fake_wall_clock.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

using cmos::Index;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::int64_t kMonday = 1'772'454'896;  // 2026-03-02 12:34:56 UTC, a Monday

class CmosRtcTest : public testing::Test {
  protected:
    unsigned get(CmosRtc& rtc, Index index) {
        test::write8(rtc, 0, static_cast<unsigned>(index));
        return static_cast<unsigned>(*test::read8(rtc, 1));
    }
    unsigned get(Index index) { return get(rtc_, index); }
    void set(Index index, unsigned value) {
        test::write8(rtc_, 0, static_cast<unsigned>(index));
        test::write8(rtc_, 1, value);
    }
    /// Century, year, month, day, hour, minute, second; the day of the week.
    std::vector<unsigned> time() {
        return {get(Index::Century),    get(Index::Year),     get(Index::Month),
                get(Index::DayOfMonth), get(Index::Hours),    get(Index::Minutes),
                get(Index::Seconds),    get(Index::DayOfWeek)};
    }

    test::FakeWallClock clock_{kMonday};
    CmosRtc rtc_{{.low_memory = 256 * kMiB, .high_memory = 0}, clock_};
};

using Time = std::vector<unsigned>;

TEST_F(CmosRtcTest, TellsTheTimeInBcdAnd24Hours) {
    EXPECT_EQ(time(), (Time{0x20, 0x26, 0x03, 0x02, 0x12, 0x34, 0x56, 2}));
    clock_.advance(4);
    EXPECT_EQ(get(Index::Seconds), 0x00U);
    EXPECT_EQ(get(Index::Minutes), 0x35U);
}

TEST_F(CmosRtcTest, HasTheResetValuesOfItsControlRegisters) {
    EXPECT_EQ(get(Index::RegisterA), 0x26U);
    EXPECT_EQ(get(Index::RegisterB), 0x02U);
    EXPECT_EQ(get(Index::RegisterC), 0x00U);
    EXPECT_EQ(get(Index::RegisterD), 0x80U);
}

TEST_F(CmosRtcTest, KeepsWhatIsWritableOfItsControlRegisters) {
    for (const unsigned value : {0xffU, 0x00U, 0x55U, 0xaaU}) {
        set(Index::RegisterA, value);
        EXPECT_EQ(get(Index::RegisterA), value & 0x7f) << "UIP is never set";
        set(Index::RegisterB, value);
        EXPECT_EQ(get(Index::RegisterB), value);
        set(Index::RegisterC, value);
        EXPECT_EQ(get(Index::RegisterC), 0x00U);
        set(Index::RegisterD, value);
        EXPECT_EQ(get(Index::RegisterD), 0x80U);
    }
}

TEST_F(CmosRtcTest, SpeaksBinaryWhenAsked) {
    set(Index::RegisterB, 0x06);
    EXPECT_EQ(time(), (Time{20, 26, 3, 2, 12, 34, 56, 2}));
}

TEST_F(CmosRtcTest, Speaks12HoursWhenAsked) {
    struct Case {
        std::int64_t hour;
        unsigned bcd;
        unsigned binary;
    };
    constexpr std::array kCases = {Case{0, 0x12, 12},        Case{1, 0x01, 1},
                                   Case{11, 0x11, 11},       Case{12, 0x92, 12 | 0x80},
                                   Case{13, 0x81, 1 | 0x80}, Case{23, 0x91, 11 | 0x80}};
    for (const Case& c : kCases) {
        clock_ = test::FakeWallClock(c.hour * 3600);
        set(Index::RegisterB, 0x00);
        EXPECT_EQ(get(Index::Hours), c.bcd) << "hour " << c.hour;
        set(Index::RegisterB, 0x04);
        EXPECT_EQ(get(Index::Hours), c.binary) << "hour " << c.hour;
        // What it shows, it also takes.
        set(Index::Hours, c.binary);
        set(Index::RegisterB, 0x06);
        EXPECT_EQ(get(Index::Hours), static_cast<unsigned>(c.hour));
    }
}

TEST_F(CmosRtcTest, StandsWhileSetIsOnAndGoesOnFromTheTimeThatWasWritten) {
    set(Index::RegisterB, 0x82);
    clock_.advance(10);
    EXPECT_EQ(get(Index::Seconds), 0x56U);
    set(Index::Century, 0x19);
    set(Index::Year, 0x99);
    set(Index::Month, 0x12);
    set(Index::DayOfMonth, 0x31);
    set(Index::Hours, 0x23);
    set(Index::Minutes, 0x59);
    set(Index::Seconds, 0x58);
    set(Index::RegisterB, 0x02);
    EXPECT_EQ(time(), (Time{0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58, 6}));
    clock_.advance(2);
    EXPECT_EQ(time(), (Time{0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 7}));
}

TEST_F(CmosRtcTest, TakesASingleRegisterWhileTheClockRuns) {
    set(Index::Minutes, 0x00);
    EXPECT_EQ(time(), (Time{0x20, 0x26, 0x03, 0x02, 0x12, 0x00, 0x56, 2}));
}

TEST_F(CmosRtcTest, DropsATimeThatDoesNotExist) {
    const Time before = time();
    for (const auto& [index, value] :
         {std::pair{Index::Month, 0x13U}, std::pair{Index::Month, 0x00U},
          std::pair{Index::DayOfMonth, 0x32U}, std::pair{Index::Hours, 0x24U},
          std::pair{Index::Seconds, 0xffU}, std::pair{Index::Minutes, 0x60U},
          std::pair{Index::Year, 0xa0U}}) {
        set(Index::RegisterB, 0x82);
        set(index, value);
        set(Index::RegisterB, 0x02);
        EXPECT_EQ(time(), before) << "register " << static_cast<unsigned>(index);
    }
}

TEST_F(CmosRtcTest, KeepsTimeMemoryAndFormatOverResetAndDropsInterruptEnables) {
    set(Index::RegisterB, 0x7e);
    set(Index::Hours, 3);
    test::write8(rtc_, 0, 0x7f);
    test::write8(rtc_, 1, 0x5a);
    rtc_.reset();
    EXPECT_EQ(get(Index::RegisterB), 0x06U);
    EXPECT_EQ(get(Index::Hours), 3U);
    EXPECT_EQ(get(Index{0x7f}), 0x5aU);
}

TEST_F(CmosRtcTest, IgnoresTheNmiMaskInTheIndex) {
    test::write8(rtc_, 0, 0x8d);
    EXPECT_EQ(test::read8(rtc_, 1), 0x80U);
}

TEST_F(CmosRtcTest, KeepsAlarmsAndMemoryAsBytes) {
    for (const unsigned index : {0x01U, 0x03U, 0x05U, 0x0eU, 0x0fU, 0x40U, 0x7fU}) {
        for (const unsigned value : {0xffU, 0x00U, 0xa5U}) {
            set(Index{static_cast<std::uint8_t>(index)}, value);
            EXPECT_EQ(get(Index{static_cast<std::uint8_t>(index)}), value) << "index " << index;
        }
    }
}

class CmosMemoryTest : public CmosRtcTest {
  protected:
    unsigned size(CmosRtc& rtc, Index low, unsigned width) {
        unsigned value = 0;
        for (unsigned i = 0; i < width; ++i) {
            const auto index = static_cast<std::uint8_t>(static_cast<unsigned>(low) + i);
            value |= get(rtc, Index{index}) << (8 * i);
        }
        return value;
    }
};

TEST_F(CmosMemoryTest, TellsTheSizeOfASmallMemory) {
    EXPECT_EQ(size(rtc_, Index::BaseMemory, 2), 640U);
    EXPECT_EQ(size(rtc_, Index::ExtendedMemory, 2), 65535U) << "255 MiB do not fit";
    EXPECT_EQ(size(rtc_, Index::ExtendedMemoryFound, 2), 65535U);
    EXPECT_EQ(size(rtc_, Index::MemoryAbove16M, 2), 240U * 16);
    EXPECT_EQ(size(rtc_, Index::MemoryAbove4G, 3), 0U);

    CmosRtc tiny({.low_memory = 8 * kMiB, .high_memory = 0}, clock_);
    EXPECT_EQ(size(tiny, Index::ExtendedMemory, 2), 7U * 1024);
    EXPECT_EQ(size(tiny, Index::MemoryAbove16M, 2), 0U);
}

TEST_F(CmosMemoryTest, TellsTheSizeOfALargeMemory) {
    CmosRtc large({.low_memory = 3072 * kMiB, .high_memory = 1024 * (1024 * kMiB)}, clock_);
    EXPECT_EQ(size(large, Index::MemoryAbove16M, 2), 3056U * 16);
    EXPECT_EQ(size(large, Index::MemoryAbove4G, 3), 0xff'ffffU) << "1 TiB does not fit";
    CmosRtc medium({.low_memory = 3072 * kMiB, .high_memory = 1024 * kMiB}, clock_);
    EXPECT_EQ(size(medium, Index::MemoryAbove4G, 3), 1024U * 16);
}

TEST_F(CmosRtcTest, TakesBytesAtItsTwoPortsAndNothingWider) {
    EXPECT_EQ(test::read_status(rtc_, 0, 1), IoStatus::Unmapped) << "the index is write only";
    EXPECT_EQ(test::read_status(rtc_, 1, 1), IoStatus::Ok);
    EXPECT_EQ(test::read_status(rtc_, 2, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::write_status(rtc_, 2, 1), IoStatus::Unmapped);
    for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
        EXPECT_EQ(test::read_status(rtc_, 1, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(rtc_, 0, size), IoStatus::BadSize);
    }
}

TEST(HostWallClock, TellsTheTimeOfTheHost) {
    HostWallClock clock;
    const std::int64_t before = clock.now();
    EXPECT_GT(before, 1'600'000'000);
    EXPECT_GE(clock.now(), before);
}

}  // namespace
}  // namespace cxlvm
