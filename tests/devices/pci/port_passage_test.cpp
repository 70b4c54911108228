// SPDX-License-Identifier: Apache-2.0
// What a root port passes on: memory requests down to base addresses, messages up.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "devices/pci/msi.hpp"
#include "devices/pci/msix.hpp"
#include "devices/pci/root_port.hpp"
#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kMemoryWindow = 0x20;
constexpr std::uint64_t kPrefetchableWindow = 0x24;
constexpr std::uint64_t kBaseUpper = 0x28;
constexpr std::uint64_t kLimitUpper = 0x2c;
constexpr std::uint64_t kBridgeControl = 0x3e;
constexpr std::uint64_t kLinkControl = 0x50;
constexpr std::uint64_t kPowerControl = 0x80;
constexpr std::uint64_t kMiB = 1 << 20;

/// BAR 0 of the function, of 32 bits, and BAR 2, of 64, behind a port.
class PortPassageTest : public BarTest {
  protected:
    PortPassageTest() { port_.attach(function_); }

    /// Windows of whole MiB, `last` included.
    static void open_memory(PciFunction& port, std::uint64_t base, std::uint64_t last) {
        test::write_value(port, kMemoryWindow, 4, (base >> 16 & 0xfff0) | (last & 0xfff0'0000));
    }
    static void open_prefetchable(PciFunction& port, std::uint64_t base, std::uint64_t last) {
        test::write_value(port, kPrefetchableWindow, 4,
                          (base >> 16 & 0xfff0) | (last & 0xfff0'0000));
        test::write_value(port, kBaseUpper, 4, base >> 32);
        test::write_value(port, kLimitUpper, 4, last >> 32);
    }
    static void command(PciFunction& port, std::uint64_t value) {
        test::write_value(port, kCommandOffset, 2, value);
    }
    void program() {
        function_.move0(kLow);
        function_.move2(kHigh);
        function_.decode(true);
    }
    void open_all(PciFunction& port) {
        open_memory(port, kLow, kLow);
        open_prefetchable(port, kHigh, kHigh);
        command(port, 2);
    }
    bool low() { return touch(kLow) == IoStatus::Ok; }
    bool high() { return touch(kHigh) == IoStatus::Ok; }

    FakeMsiVector vector_;
    RootPort port_{1, vector_};
};

TEST_F(PortPassageTest, ABarAnswersOnlyWhereThePortPassesItOn) {
    program();
    EXPECT_FALSE(low() || high()) << "no window is open after reset";
    command(port_, 2);
    EXPECT_FALSE(low() || high());
    open_memory(port_, kLow, kLow);
    EXPECT_TRUE(low());
    EXPECT_FALSE(high());
    open_prefetchable(port_, kHigh, kHigh);
    EXPECT_TRUE(low() && high());
    EXPECT_EQ(touch(kLow + TestFunction::kSize0 - 1), IoStatus::Ok);
    EXPECT_EQ(touch(kHigh + TestFunction::kSize2 - 1), IoStatus::Ok);
    command(port_, 0);
    EXPECT_FALSE(low() || high()) << "Memory Space Enable of the port";
    command(port_, 2);
    EXPECT_TRUE(low() && high());
    open_memory(port_, kLow + kMiB, kLow);
    EXPECT_FALSE(low()) << "base above limit";
    EXPECT_TRUE(high());
}

TEST_F(PortPassageTest, WindowsReachFromTheFirstToTheLastByteOfTheirMebibytes) {
    command(port_, 2);
    open_memory(port_, kLow, kLow + kMiB);
    open_prefetchable(port_, kHigh + kMiB, kHigh + 2 * kMiB);
    function_.decode(true);
    for (const auto& [base, reached] : {std::pair{kLow - TestFunction::kSize0, false},
                                        {kLow, true},
                                        {kLow + 2 * kMiB - TestFunction::kSize0, true},
                                        {kLow + 2 * kMiB, false}}) {
        function_.move0(base);
        EXPECT_EQ(touch(base) == IoStatus::Ok, reached) << std::hex << base;
    }
    for (const auto& [base, reached] : {std::pair{kHigh + kMiB - TestFunction::kSize2, false},
                                        {kHigh + kMiB, true},
                                        {kHigh + 3 * kMiB - TestFunction::kSize2, true},
                                        {kHigh + 3 * kMiB, false}}) {
        function_.move2(base);
        EXPECT_EQ(touch(base) == IoStatus::Ok, reached) << std::hex << base;
    }
}

TEST_F(PortPassageTest, EitherWindowPassesAnyBarOn) {
    program();
    command(port_, 2);
    open_prefetchable(port_, kLow, kLow);
    EXPECT_TRUE(low()) << "not prefetchable, but at an address that the window passes on";
    open_prefetchable(port_, 0, ~std::uint64_t{0});
    EXPECT_TRUE(low() && high()) << "a window of the whole space";
}

TEST_F(PortPassageTest, ABarThatIsPassedOnInPartIsNotReached) {
    function_.move2(kHigh);
    function_.decode(true);
    open_all(port_);
    ASSERT_TRUE(high());
    other_.decode(true);
    open_prefetchable(port_, kHigh + kMiB, kHigh + kMiB);
    EXPECT_FALSE(high());
    EXPECT_EQ(touch(kHigh + TestFunction::kSize2 - 1), IoStatus::Ok) << "kept memory";
    other_.move2(kHigh);
    EXPECT_TRUE(high()) << "another function has the place, and was not hindered";
}

TEST_F(PortPassageTest, KeepsMemoryMappedWhileAPortIsReprogrammed) {
    program();
    open_all(port_);
    take_events();
    for (int i = 0; i < 3; ++i) {
        command(port_, 0);
        open_prefetchable(port_, kOther, kOther);
        EXPECT_FALSE(high());
        open_prefetchable(port_, kHigh, kHigh);
        command(port_, 2);
        EXPECT_TRUE(high());
    }
    EXPECT_TRUE(take_events().empty()) << "memory was mapped anew";
    command(port_, 0);
    function_.decode(false);
    function_.reset();
    EXPECT_EQ(space_.region_count(), 0U) << "a reset keeps nothing";
}

TEST_F(PortPassageTest, NothingIsReachedWhileThePortSleepsOrItsLinkIsDown) {
    program();
    open_all(port_);
    test::write8(port_, kPowerControl, 3);
    EXPECT_FALSE(low() || high());
    test::write8(port_, kPowerControl, 0);
    EXPECT_TRUE(low() && high());
    test::write_value(port_, kLinkControl, 2, 0x10);
    EXPECT_EQ(space_.region_count(), 0U) << "the link's end is a reset";
    test::write_value(port_, kLinkControl, 2, 0);
    program();
    EXPECT_TRUE(low() && high());
    test::write_value(port_, kBridgeControl, 2, 0x40);
    EXPECT_EQ(space_.region_count(), 0U);
    test::write_value(port_, kBridgeControl, 2, 0);
    program();
    EXPECT_TRUE(low() && high()) << "the port keeps its windows over a reset of its bus";
    port_.reset();
    EXPECT_EQ(space_.region_count(), 0U);
}

TEST_F(PortPassageTest, EveryPortOnTheWayHasToPassItOn) {
    FakeMsiVector vector;
    RootPort above(2, vector);
    above.attach(port_);
    program();
    open_all(port_);
    EXPECT_FALSE(low() || high());
    open_all(above);
    EXPECT_TRUE(low() && high());
    command(above, 0);
    EXPECT_FALSE(low() || high());
}

/// An endpoint with MSI and MSI-X behind a port.
class PortMessageTest : public testing::Test {
  protected:
    PortMessageTest() {
        port_.attach(function_);
        test::write_value(function_, kCommandOffset, 2, 4);
        test::write_value(msix_.table(), 0, 8, 0xfee0'0000);
        test::write_value(msix_.table(), 8, 8, 0x41);
    }
    void enable_msi() {
        test::write_value(function_, kMsiAt + 4, 4, 0xfee0'0000);
        test::write_value(function_, kMsiAt + 2, 2, 1);
    }
    void enable_msix() { test::write_value(function_, kMsixAt + 2, 2, 0x8000); }
    void master(PciFunction& port, bool on) {
        test::write_value(port, kCommandOffset, 2, on ? 4 : 0);
    }

    static constexpr std::uint64_t kMsiAt = 0x40;
    static constexpr std::uint64_t kMsixAt = 0x58;
    PciFunction function_{"endpoint", {.vendor_id = 0x1111, .device_id = 0x2222}};
    FakeMsiVectors vectors_{4};
    Msi msi_{function_, std::array<MsiVector*, 1>{&vectors_[0]}};
    Msix msix_{function_,
               std::array<MsiVector*, 1>{&vectors_[1]},
               {.table_bar = 0, .table_offset = 0, .pba_bar = 0, .pba_offset = 0x800}};
    RootPort port_{1, vectors_[2]};
};

TEST_F(PortMessageTest, MessagesWaitForThePortToMasterTheBus) {
    enable_msi();
    EXPECT_TRUE(msi_.raise(0));
    EXPECT_EQ(vectors_[0].take_sent(), 0U);
    EXPECT_EQ(test::read_value(function_, kMsiAt + 0x14, 4), 1U) << "pending";
    master(port_, true);
    EXPECT_EQ(vectors_[0].take_sent(), 1U);
    EXPECT_EQ(test::read_value(function_, kMsiAt + 0x14, 4), 0U);
    master(port_, false);
    EXPECT_TRUE(msi_.raise(0));
    EXPECT_EQ(vectors_[0].take_sent(), 0U);
    EXPECT_EQ(vectors_[0].message(), std::nullopt) << "nor does the host send any by itself";

    test::write_value(function_, kMsiAt + 2, 2, 0);
    enable_msix();
    EXPECT_TRUE(msix_.raise(0));
    EXPECT_EQ(vectors_[1].take_sent(), 0U);
    master(port_, true);
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
    EXPECT_EQ(vectors_[1].lost(), 0U);
}

TEST_F(PortMessageTest, MessagesWaitForEveryPortOnTheWay) {
    RootPort above(2, vectors_[3]);
    above.attach(port_);
    master(port_, true);
    enable_msix();
    EXPECT_TRUE(msix_.raise(0));
    EXPECT_EQ(vectors_[1].take_sent(), 0U);
    master(above, true);
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
    test::write8(above, kPowerControl, 3);
    EXPECT_TRUE(msix_.raise(0));
    EXPECT_EQ(vectors_[1].take_sent(), 0U) << "a port that sleeps passes nothing on";
    test::write8(above, kPowerControl, 0);
    EXPECT_EQ(vectors_[1].take_sent(), 1U);
}

TEST_F(PortMessageTest, ThePortHasAVectorOfItsOwn) {
    test::write_value(port_, 0x88, 4, 0xfee0'1000);
    test::write_value(port_, 0x90, 2, 0x55);
    test::write_value(port_, 0x86, 2, 1);
    EXPECT_EQ(vectors_[2].message(), std::nullopt);
    master(port_, true);
    EXPECT_EQ(vectors_[2].message(), (MsiMessage{.address = 0xfee0'1000, .data = 0x55}));
    port_.reset();
    EXPECT_EQ(vectors_[2].message(), std::nullopt);
}

TEST_F(PortPassageTest, EndsAsTheLastWritesSayWhenVcpusRace) {
    program();
    open_all(port_);
    for (int round = 0; round < 100; ++round) {
        std::thread windows([&] {
            for (int i = 0; i < 10; ++i) {
                open_prefetchable(port_, i % 2 == 0 ? kOther : kHigh, i % 2 == 0 ? kOther : kHigh);
            }
        });
        std::thread enables([&] {
            for (int i = 0; i < 10; ++i) {
                command(port_, i % 2 == 0 ? 0 : 2);
            }
        });
        for (int i = 0; i < 10; ++i) {
            function_.decode(i % 2 != 0);
        }
        windows.join();
        enables.join();
        ASSERT_TRUE(low() && high()) << round;
    }
}

TEST_F(PortPassageTest, PassesOnWithoutAllocating) {
    program();
    const test::AllocationCounter allocations;
    open_all(port_);
    command(port_, 0);
    port_.reset();
    EXPECT_EQ(allocations.count(), 0U);
}

}  // namespace
}  // namespace cxlvm::pci
