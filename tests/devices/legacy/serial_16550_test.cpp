// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/serial_16550.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

#include "tests/support/fake_character_host.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/register_probe.hpp"

namespace cxlvm {
namespace {

using test::read8;
using test::write8;

// Port offsets and values as the data sheet's tables print them.
constexpr std::uint64_t kData = 0;
constexpr std::uint64_t kIer = 1;
constexpr std::uint64_t kIir = 2;
constexpr std::uint64_t kFcr = 2;
constexpr std::uint64_t kLcr = 3;
constexpr std::uint64_t kMcr = 4;
constexpr std::uint64_t kLsr = 5;
constexpr std::uint64_t kMsr = 6;
constexpr std::uint64_t kScr = 7;

constexpr unsigned kOut2 = 0x08;
constexpr unsigned kLoop = 0x10;
constexpr unsigned kDlab = 0x80;

class Serial16550Test : public testing::Test {
  protected:
    std::size_t receive(std::string_view text) {
        return serial_.receive(std::as_bytes(std::span(text)));
    }
    void enable_fifos(unsigned trigger = 0) { write8(serial_, kFcr, 0x01 | trigger << 6); }
    void expect_reset_values() {
        // Table III; the modem lines are on.
        constexpr std::array<unsigned, 8> kReset = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};
        for (std::uint64_t offset = 0; offset < kReset.size(); ++offset) {
            EXPECT_EQ(read8(serial_, offset), kReset[offset]) << "offset " << offset;
        }
    }

    io::Log log_{2, io::LogLevel::Off};
    test::FakeCharacterHost host_;
    test::FakeIrqLine irq_;
    Serial16550 serial_{host_, irq_, log_};
};

TEST_F(Serial16550Test, HasTheResetValuesOfTheDataSheet) {
    expect_reset_values();
}

TEST_F(Serial16550Test, KeepsTheWritableBitsOfItsRegistersAndNoOthers) {
    test::RegisterProbe probe(serial_, [this] {
        serial_.reset();
        read8(serial_, kMsr);
    });
    probe.sweep(std::array{uart::kIer, uart::kLcr, uart::kMcr, uart::kScr});
}

TEST_F(Serial16550Test, KeepsTheDivisorBehindTheLatchBit) {
    test::RegisterProbe probe(serial_, [this] {
        serial_.reset();
        write8(serial_, kLcr, kDlab);
    });
    probe.sweep(std::array{uart::kDll, uart::kDlm});
    write8(serial_, kData, 0x0c);
    write8(serial_, kLcr, 0x03);
    EXPECT_EQ(read8(serial_, kIer), 0U);
    EXPECT_EQ(host_.output(), "");
    write8(serial_, kLcr, kDlab);
    EXPECT_EQ(read8(serial_, kData), 0x0cU);
}

TEST_F(Serial16550Test, IgnoresWritesToTheStatusRegisters) {
    for (const std::uint64_t offset : {kLsr, kMsr}) {
        const auto before = read8(serial_, offset);
        write8(serial_, offset, 0xff);
        write8(serial_, offset, 0x00);
        EXPECT_EQ(read8(serial_, offset), before);
    }
}

TEST_F(Serial16550Test, TakesBytesUpToItsLastPortAndNothingWider) {
    EXPECT_EQ(write8(serial_, kScr, 0x5a), IoStatus::Ok);
    EXPECT_EQ(read8(serial_, kScr), 0x5aU);
    EXPECT_EQ(test::read_status(serial_, 8, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::write_status(serial_, 8, 1), IoStatus::Unmapped);
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{2}, std::size_t{4}, std::size_t{8}}) {
        for (std::uint64_t offset = 0; offset < 8; ++offset) {
            EXPECT_EQ(test::read_status(serial_, offset, size), IoStatus::BadSize);
            EXPECT_EQ(test::write_status(serial_, offset, size), IoStatus::BadSize);
        }
    }
    EXPECT_EQ(host_.output(), "");
}

TEST_F(Serial16550Test, LooksLikeA16550AToTheProbeOfLinux) {
    // drivers/tty/serial/8250: the interrupt enable register has four bits, ...
    write8(serial_, kIer, 0x0f);
    EXPECT_EQ(read8(serial_, kIer), 0x0fU);
    write8(serial_, kIer, 0x00);
    // ... loopback turns OUT2 and RTS into DCD and CTS, ...
    write8(serial_, kMcr, kLoop | 0x0a);
    EXPECT_EQ(*read8(serial_, kMsr) & 0xf0U, 0x90U);
    write8(serial_, kMcr, 0);
    // ... the FIFOs show in IIR, also while the divisor latch is open, ...
    write8(serial_, kLcr, 0xbf);
    write8(serial_, kFcr, 0x00);
    write8(serial_, kLcr, 0x00);
    write8(serial_, kFcr, 0x01);
    EXPECT_EQ(read8(serial_, kIir), 0xc1U);
    write8(serial_, kLcr, kDlab);
    EXPECT_EQ(read8(serial_, kIir), 0xc1U) << "no enhanced feature register";
    write8(serial_, kLcr, 0x00);
    // ... there is no 64-byte FIFO, and no sleep bit.
    write8(serial_, kFcr, 0x21);
    EXPECT_EQ(read8(serial_, kIir), 0xc1U);
    write8(serial_, kIer, 0x50);
    EXPECT_EQ(read8(serial_, kIer), 0x00U);
}

TEST_F(Serial16550Test, LoopsBytesBackToItsReceiver) {
    enable_fifos();
    write8(serial_, kMcr, kLoop);
    for (const char c : std::string_view("loop")) {
        write8(serial_, kData, static_cast<unsigned char>(c));
    }
    std::string back;
    while ((*read8(serial_, kLsr) & 1U) != 0) {
        back.push_back(static_cast<char>(*read8(serial_, kData)));
    }
    EXPECT_EQ(back, "loop");
    EXPECT_EQ(host_.output(), "");
}

TEST_F(Serial16550Test, KeepsTheFifoAndReportsOverrunWhenLoopbackOverflows) {
    enable_fifos();
    write8(serial_, kIer, 0x04);
    write8(serial_, kMcr, kLoop);
    for (unsigned i = 0; i < 17; ++i) {
        write8(serial_, kData, i);
    }
    EXPECT_EQ(read8(serial_, kIir), 0xc6U);
    EXPECT_EQ(read8(serial_, kLsr), 0x63U);
    EXPECT_EQ(read8(serial_, kLsr), 0x61U) << "reading clears the error";
    for (unsigned i = 0; i < 16; ++i) {
        EXPECT_EQ(read8(serial_, kData), i);
    }
}

TEST_F(Serial16550Test, OverwritesTheHoldingRegisterWhenLoopbackOverflowsWithoutFifos) {
    write8(serial_, kMcr, kLoop);
    write8(serial_, kData, 'a');
    write8(serial_, kData, 'b');
    EXPECT_EQ(read8(serial_, kLsr), 0x63U);
    EXPECT_EQ(read8(serial_, kData), static_cast<unsigned>('b'));
    EXPECT_EQ(read8(serial_, kLsr), 0x60U);
}

TEST_F(Serial16550Test, LatchesChangesOfTheModemLines) {
    write8(serial_, kMcr, kLoop);  // CTS, DSR and DCD drop
    EXPECT_EQ(read8(serial_, kMsr), 0x0bU);
    EXPECT_EQ(read8(serial_, kMsr), 0x00U);
    write8(serial_, kMcr, kLoop | 0x04);  // OUT1 is RI: its rise is not reported, its fall is
    EXPECT_EQ(read8(serial_, kMsr), 0x40U);
    write8(serial_, kMcr, kLoop);
    EXPECT_EQ(read8(serial_, kMsr), 0x04U);
    write8(serial_, kMcr, 0);
    EXPECT_EQ(read8(serial_, kMsr), 0xbbU);
}

TEST_F(Serial16550Test, RanksItsInterruptSources) {
    enable_fifos(1);
    write8(serial_, kMcr, kLoop);
    write8(serial_, kIer, 0x0f);
    for (unsigned i = 0; i < 17; ++i) {
        write8(serial_, kData, i);
    }
    EXPECT_EQ(read8(serial_, kIir), 0xc6U) << "overrun";
    read8(serial_, kLsr);
    EXPECT_EQ(read8(serial_, kIir), 0xc4U) << "data at the trigger level";
    for (unsigned i = 0; i < 13; ++i) {
        read8(serial_, kData);
    }
    EXPECT_EQ(read8(serial_, kIir), 0xccU) << "data below the trigger level";
    for (unsigned i = 0; i < 3; ++i) {
        read8(serial_, kData);
    }
    EXPECT_EQ(read8(serial_, kIir), 0xc2U) << "transmitter empty";
    EXPECT_EQ(read8(serial_, kIir), 0xc0U) << "modem lines; reading IIR took the former away";
    read8(serial_, kMsr);
    EXPECT_EQ(read8(serial_, kIir), 0xc1U) << "nothing";
}

TEST_F(Serial16550Test, ReportsDataAtEachTriggerLevelAndATimeoutBelow) {
    constexpr std::array<std::size_t, 4> kLevels = {1, 4, 8, 14};
    for (unsigned level = 0; level < kLevels.size(); ++level) {
        serial_.reset();
        enable_fifos(level);
        write8(serial_, kIer, 0x01);
        for (std::size_t count = 1; count <= 16; ++count) {
            ASSERT_EQ(receive("x"), 1U);
            EXPECT_EQ(read8(serial_, kIir), count < kLevels[level] ? 0xccU : 0xc4U)
                << count << " bytes at level " << kLevels[level];
        }
    }
}

TEST_F(Serial16550Test, PulsesWhenAConditionRisesAndNotWhileItStays) {
    enable_fifos();
    write8(serial_, kMcr, kOut2);
    write8(serial_, kIer, 0x01);
    EXPECT_EQ(irq_.take_pulses(), 0U);
    receive("a");
    receive("b");
    EXPECT_EQ(irq_.take_pulses(), 1U);
    read8(serial_, kData);
    read8(serial_, kData);
    receive("c");
    EXPECT_EQ(irq_.take_pulses(), 1U);
}

TEST_F(Serial16550Test, LetsNoInterruptThroughWithoutOut2OrInLoopback) {
    enable_fifos();
    write8(serial_, kIer, 0x01);
    receive("a");
    EXPECT_EQ(read8(serial_, kIir), 0xc4U);
    EXPECT_EQ(irq_.take_pulses(), 0U);
    write8(serial_, kMcr, kOut2);
    EXPECT_EQ(irq_.take_pulses(), 1U) << "the condition passes once OUT2 is set";
    write8(serial_, kMcr, kOut2 | kLoop);
    write8(serial_, kData, 'x');
    EXPECT_EQ(irq_.take_pulses(), 0U);
    write8(serial_, kMcr, kOut2);
    EXPECT_EQ(irq_.take_pulses(), 1U);
}

TEST_F(Serial16550Test, PulsesForAnEmptyTransmitterEachTimeItsInterruptIsEnabled) {
    write8(serial_, kMcr, kOut2);
    for (unsigned round = 0; round < 3; ++round) {
        write8(serial_, kIer, 0x02);
        EXPECT_EQ(irq_.take_pulses(), 1U);
        EXPECT_EQ(read8(serial_, kIir), 0x02U);
        EXPECT_EQ(read8(serial_, kIir), 0x01U);
        write8(serial_, kIer, 0x00);
    }
}

TEST_F(Serial16550Test, GivesOneEdgeForABurstUntilTheGuestHasSeenIt) {
    enable_fifos();
    write8(serial_, kMcr, kOut2);
    write8(serial_, kIer, 0x02);
    ASSERT_EQ(irq_.take_pulses(), 1U);
    ASSERT_EQ(read8(serial_, kIir), 0xc2U);
    for (unsigned i = 0; i < 16; ++i) {
        write8(serial_, kData, 'x');
    }
    EXPECT_EQ(irq_.take_pulses(), 1U);
    ASSERT_EQ(read8(serial_, kIir), 0xc2U);
    write8(serial_, kData, 'x');
    EXPECT_EQ(irq_.take_pulses(), 1U);
}

TEST_F(Serial16550Test, ReturnsToItsResetStateWhole) {
    enable_fifos(3);
    write8(serial_, kLcr, 0x1f);
    write8(serial_, kMcr, 0x0f);
    write8(serial_, kIer, 0x0f);
    write8(serial_, kScr, 0xff);
    receive("abc");
    serial_.reset();
    expect_reset_values();
}

}  // namespace
}  // namespace cxlvm
