// SPDX-License-Identifier: Apache-2.0
#include "devices/legacy/pvpanic.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_system_event_sink.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm {
namespace {

class PvpanicTest : public testing::Test {
  protected:
    io::Log log_{2, io::LogLevel::Off};
    test::FakeSystemEventSink events_;
    Pvpanic pvpanic_{events_, log_};
};

TEST_F(PvpanicTest, SaysWhichEventsItSupports) {
    EXPECT_EQ(test::read8(pvpanic_, 0), 0x03U);
}

TEST_F(PvpanicTest, ReportsAPanicAndALoadedCrashKernel) {
    test::write8(pvpanic_, 0, 0x01);
    test::write8(pvpanic_, 0, 0x02);
    EXPECT_EQ(events_.events(),
              (std::vector{SystemEvent::GuestPanic, SystemEvent::GuestCrashLoaded}));
}

TEST_F(PvpanicTest, IgnoresEventsThatItDoesNotKnow) {
    EXPECT_EQ(test::write8(pvpanic_, 0, 0xfc), IoStatus::Ok);
    EXPECT_EQ(test::write8(pvpanic_, 0, 0x00), IoStatus::Ok);
    EXPECT_TRUE(events_.events().empty());
}

TEST_F(PvpanicTest, TakesOneByteAtItsOnePort) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{2}, std::size_t{4}}) {
        EXPECT_EQ(test::read_status(pvpanic_, 0, size), IoStatus::BadSize);
        EXPECT_EQ(test::write_status(pvpanic_, 0, size), IoStatus::BadSize);
    }
    EXPECT_EQ(test::read_status(pvpanic_, 1, 1), IoStatus::Unmapped);
    EXPECT_EQ(test::write_status(pvpanic_, 1, 1), IoStatus::Unmapped);
}

}  // namespace
}  // namespace cxlvm
