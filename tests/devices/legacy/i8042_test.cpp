// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/i8042.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

class I8042Test : public testing::Test {
  protected:
    void command(unsigned value) { test::write8(i8042_.command_port(), 0, value); }
    void data(unsigned value) { test::write8(i8042_.data_port(), 0, value); }
    unsigned status() { return static_cast<unsigned>(*test::read8(i8042_.command_port(), 0)); }
    /// The waiting byte, if there is one.
    std::optional<unsigned> answer() {
        if ((status() & 0x01U) == 0) {
            return std::nullopt;
        }
        return static_cast<unsigned>(*test::read8(i8042_.data_port(), 0));
    }

    io::Log log_{2, io::LogLevel::Off};
    test::FakeSystemEventSink events_;
    I8042 i8042_{events_, log_};
};

TEST_F(I8042Test, StartsIdleAndUnlocked) {
    EXPECT_EQ(status(), 0x10U);
    EXPECT_EQ(answer(), std::nullopt);
}

TEST_F(I8042Test, PassesItsSelfTestAtOnce) {
    command(0xaa);
    EXPECT_EQ(status(), 0x1dU) << "full, system flag, command last, unlocked";
    EXPECT_EQ(answer(), 0x55U);
    EXPECT_EQ(status() & 0x01U, 0U) << "reading empties the buffer";
}

TEST_F(I8042Test, ResetsOnAPulseOfTheResetLineAlone) {
    for (unsigned value = 0xf1; value <= 0xff; value += 2) {
        command(value);
    }
    EXPECT_TRUE(events_.events().empty());
    command(0xfe);
    EXPECT_EQ(events_.events(), std::vector{SystemEvent::Reset});
}

TEST_F(I8042Test, ResetsWhenTheOutputPortPullsTheResetLineLow) {
    command(0xd0);
    EXPECT_EQ(answer(), 0x03U);
    command(0xd1);
    data(0x03);
    EXPECT_TRUE(events_.events().empty());
    command(0xd1);
    data(0x02);
    EXPECT_EQ(events_.events(), std::vector{SystemEvent::Reset});
}

TEST_F(I8042Test, KeepsItsConfiguration) {
    command(0x20);
    EXPECT_EQ(answer(), 0x30U) << "both ports off";
    command(0x60);
    data(0x47);
    command(0x20);
    EXPECT_EQ(answer(), 0x47U);
    EXPECT_NE(status() & 0x04U, 0U) << "the system flag is the configuration's";
    command(0xad);
    command(0xa7);
    command(0x20);
    EXPECT_EQ(answer(), 0x77U);
    command(0xae);
    command(0xa8);
    command(0x20);
    EXPECT_EQ(answer(), 0x47U);
}

TEST_F(I8042Test, SaysAtOnceThatNothingIsAttached) {
    command(0xa9);
    EXPECT_EQ(answer(), 0x01U) << "auxiliary port test";
    command(0xab);
    EXPECT_EQ(answer(), 0x01U) << "keyboard port test";
    data(0xf2);
    EXPECT_EQ(status() & 0x61U, 0x41U) << "time-out of the keyboard";
    EXPECT_EQ(answer(), 0xfeU);
    command(0xd4);
    data(0xf2);
    EXPECT_EQ(status() & 0x61U, 0x61U) << "time-out of the auxiliary device";
    EXPECT_EQ(answer(), 0xfeU);
    EXPECT_EQ(status() & 0x61U, 0U);
}

TEST_F(I8042Test, EchoesALoopWithoutTheMarkOfAnAuxiliaryPort) {
    for (const unsigned loop : {0xd2U, 0xd3U}) {
        command(loop);
        data(0x5a);
        EXPECT_EQ(status() & 0x21U, 0x01U);
        EXPECT_EQ(answer(), 0x5aU);
    }
}

TEST_F(I8042Test, TakesUnknownCommandsInSilence) {
    for (const unsigned value : {0x00U, 0x21U, 0xacU, 0xc0U, 0xe0U}) {
        command(value);
        EXPECT_EQ(answer(), std::nullopt);
    }
    EXPECT_TRUE(events_.events().empty());
}

TEST_F(I8042Test, ForgetsEverythingOnReset) {
    command(0xaa);
    command(0x60);
    data(0x00);
    command(0xd1);
    i8042_.reset();
    EXPECT_EQ(status(), 0x10U);
    data(0x00);
    EXPECT_TRUE(events_.events().empty()) << "the pending output port write is forgotten";
    EXPECT_EQ(answer(), 0xfeU);
    command(0x20);
    EXPECT_EQ(answer(), 0x30U);
}

TEST_F(I8042Test, TakesBytesAtItsTwoPortsAndNothingElse) {
    EXPECT_EQ(test::read_status(i8042_, 1, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::write_status(i8042_, 1, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::read_status(i8042_.command_port(), 1, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::write_status(i8042_.data_port(), 1, 1), IoStatus::Unmapped);
    for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
        EXPECT_EQ(test::read_status(i8042_.data_port(), 0, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(i8042_.command_port(), 0, size), IoStatus::BadSize);
    }
}

}  // namespace
}  // namespace cxlvm
