// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/vfio_pci_function.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/pci/root_port.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/devices/vfio/passed_function_fixture.hpp"
#include "tests/memory/fake_memory.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::vfio {
namespace {

using cxlvm::test::kPage;
using test::Intx;
using test::kBase;
using test::kCommandMaster;
using test::kCommandMemory;
using test::kDisableIntx;
using test::kExpress;
using test::kMsix;
using test::kPower;
using test::kVendor;
using test::kWideBase;
using test::message_of;
using test::Msi;
using test::Msix;
using test::PassedFunctionTest;
using testing::AllOf;
using testing::HasSubstr;

TEST_F(PassedFunctionTest, HasTheDevicesIdentityAndCapabilitiesWhereItHasThem) {
    make();
    EXPECT_EQ(config(0, 4), 0x5678'1234U);
    EXPECT_EQ(config(0x3d, 1), 1U);
    EXPECT_EQ(chain(), (std::set<std::uint64_t>{0x01, 0x05, 0x09, 0x10, 0x11}));
    EXPECT_EQ(config(kVendor, 1), 0x09U);
    EXPECT_EQ(config(kVendor + 4, 4), 0x1122'3344U);
    EXPECT_EQ(config(kExpress + 2, 2), 0x0002U) << "an endpoint behind a link";
}

TEST_F(PassedFunctionTest, ReadsWhatTheDeviceSaysNow) {
    make();
    kernel_.set_config<std::uint32_t>(kVendor + 4, 0x5566'7788);
    EXPECT_EQ(config(kVendor + 4, 4), 0x5566'7788U);
    EXPECT_EQ(config(kVendor + 5, 1), 0x77U);
    kernel_.short_by = 4;
    EXPECT_EQ(config(kVendor + 4, 4), 0xffff'ffffU) << "a device that has gone";
    EXPECT_EQ(config(0, 4), 0x5678'1234U) << "what is ours stays";
    kernel_.short_by = 0;
}

TEST_F(PassedFunctionTest, WritesWhatIsTheDevicesAndNothingElse) {
    make();
    kernel_.writes.clear();
    set_config(kVendor + 4, 4, 0xa1b2'c3d4);
    EXPECT_EQ(kernel_.get_config<std::uint32_t>(kVendor + 4), 0xa1b2'c3d4U);
    set_config(kExpress + 8, 2, 0x1234 & 0x7fff);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(kExpress + 8), 0x1234U);
    kernel_.writes.clear();
    for (const std::uint64_t at :
         {std::uint64_t{0x00}, std::uint64_t{0x10}, std::uint64_t{0x3c}, std::uint64_t{kVendor},
          std::uint64_t{kExpress + 0x10}, std::uint64_t{0x200}}) {
        set_config(at, 4, 0xffff'ffff);
    }
    for (const auto& [offset, bytes] : kernel_.writes) {
        EXPECT_TRUE(offset == kVendor + 2U) << offset;
    }
    EXPECT_EQ(kernel_.get_config<std::uint8_t>(kVendor), 0x09U) << "the header is ours";
}

TEST_F(PassedFunctionTest, HidesCapabilitiesAndKeepsTheRestOfTheChain) {
    extended(0x100, 0x0f, 0x140);  // ATS: hidden, and first
    extended(0x140, 0x03, 0x180);
    kernel_.set_config<std::uint32_t>(0x144, 0xcafe);
    extended(0x180, 0x23, 0x1c0);  // CXL
    kernel_.set_config<std::uint32_t>(0x184, 0x1e98);
    extended(0x1c0, 0x0b, 0);
    make();
    EXPECT_EQ(config(0x100, 4), 0x1400'0000U) << "an id of 0 is none";
    EXPECT_EQ(config(0x104, 4), 0U);
    EXPECT_EQ(config(0x140, 4), 0x1c01'0003U);
    EXPECT_EQ(config(0x144, 4), 0xcafeU);
    EXPECT_EQ(config(0x184, 4), 0U);
    EXPECT_EQ(config(0x1c0, 4), 0x0001'000bU);
}

TEST_F(PassedFunctionTest, SizesItsMemoryBarsAndHasNoOthers) {
    make();
    for (const std::uint64_t bar : {0x10U, 0x14U, 0x18U, 0x1cU, 0x20U, 0x30U}) {
        set_config(bar, 4, 0xffff'ffff);
    }
    EXPECT_EQ(config(0x10, 4), 0xffff'8000U);
    EXPECT_EQ(config(0x14, 4), 0U);
    EXPECT_EQ(config(0x18, 4), 0xffff'000cU);
    EXPECT_EQ(config(0x1c, 4), 0xffff'ffffU);
    EXPECT_EQ(config(0x20, 4), 0U) << "I/O";
    EXPECT_EQ(config(0x30, 4), 0U) << "expansion ROM";
}

TEST_F(PassedFunctionTest, MapsItsBarsButForTheMsixTable) {
    cxlvm::test::FakeListener listener;
    space_.add_listener(listener);
    make();
    ASSERT_EQ(kernel_.maps.size(), 3U) << "before the table, behind it, and BAR 2";
    place();
    using Event = cxlvm::test::FakeListener::Event;
    EXPECT_THAT(listener.seen(),
                testing::UnorderedElementsAre(Event{true, kBase}, Event{true, kBase + 4 * kPage},
                                              Event{true, kWideBase}));
    // The rest of the table's page is the device's, register by register.
    kernel_.bars[0][0x2100] = std::byte{0x42};
    std::uint8_t byte = 0;
    EXPECT_EQ(cxlvm::test::read_value(space_, kBase + 0x2100, byte), IoStatus::Ok);
    EXPECT_EQ(byte, 0x42);
    EXPECT_EQ(cxlvm::test::write_value(space_, kBase + 0x2104, std::uint32_t{0x1234'5678}),
              IoStatus::Ok);
    EXPECT_EQ(kernel_.bars[0][0x2104], std::byte{0x78});
    // The table is ours: the device never sees it.
    kernel_.writes.clear();
    EXPECT_EQ(cxlvm::test::write_value(space_, kBase + 0x2000, std::uint32_t{0xfee0'0000}),
              IoStatus::Ok);
    EXPECT_TRUE(kernel_.writes.empty());
    function_->reset();
    space_.remove_listener(listener);
}

TEST_F(PassedFunctionTest, HidesTheMsixTableWhereTheHostGivesNoVectorsToo) {
    kernel_.irqs[Msix].first = 0;
    make();
    ASSERT_EQ(kernel_.maps.size(), 3U) << "before the table, behind it, and BAR 2";
    place();
    kernel_.writes.clear();
    for (const std::uint64_t at : {std::uint64_t{0x2000}, std::uint64_t{0x3000}}) {
        std::uint32_t value = 0;
        EXPECT_EQ(cxlvm::test::read_value(space_, kBase + at, value), IoStatus::Ok);
        EXPECT_EQ(value, 0xffff'ffffU);
        EXPECT_EQ(cxlvm::test::write_value(space_, kBase + at, std::uint32_t{0xfee0'0000}),
                  IoStatus::Ok);
    }
    EXPECT_TRUE(kernel_.writes.empty());
    EXPECT_EQ(cxlvm::test::write_value(space_, kBase + 0x2100, std::uint32_t{1}), IoStatus::Ok);
    EXPECT_EQ(kernel_.writes.size(), 1U) << "the rest of the page is the device's";
}

TEST_F(PassedFunctionTest, KeepsTheHostsMemoryDecodingOn) {
    make();
    const auto command = [&] { return kernel_.get_config<std::uint16_t>(4); };
    EXPECT_EQ(command(), 0x0003) << "what the host had, and memory";
    set_config(4, 2, kCommandMemory | kCommandMaster);
    EXPECT_EQ(command(), 0x0007);
    set_config(4, 2, kCommandMaster | kDisableIntx);
    EXPECT_EQ(command(), 0x0407);
    EXPECT_EQ(config(4, 2), 0x404U);
    set_config(kPower + 4, 2, 3);  // D3hot
    EXPECT_EQ(command(), 0x0403) << "no DMA in D3hot";
    set_config(kPower + 4, 2, 0);
    function_->reset();
    EXPECT_EQ(command(), 0x0003);
}

TEST_F(PassedFunctionTest, HasNeitherDmaNorItsPinInD3hot) {
    make();
    const auto command = [&] { return kernel_.get_config<std::uint16_t>(4); };
    set_config(4, 2, kCommandMaster);
    set_config(kPower + 4, 2, 3);
    EXPECT_EQ(command(), 0x0403);
    set_config(kPower + 4, 2, 0);
    EXPECT_EQ(command() & kDisableIntx, 0);
}

TEST_F(PassedFunctionTest, RefusesADeviceWhoseMemoryDecodingTheHostDoesNotTurnOn) {
    kernel_.write_error = EPERM;
    EXPECT_THAT(message_of([&] { make(); }),
                AllOf(HasSubstr("--device: passed"), HasSubstr(io::errno_text(EPERM)),
                      HasSubstr("Memory Space Enable")));
}

TEST_F(PassedFunctionTest, SaysWhyTheHostDoesNotTakeACommand) {
    make();
    EXPECT_EQ(logged(), "");
    kernel_.write_error = EIO;
    set_config(4, 2, kCommandMaster);
    EXPECT_THAT(logged(),
                AllOf(HasSubstr("passed"), HasSubstr("0x7"), HasSubstr(io::errno_text(EIO))));
    kernel_.write_error = 0;
}

TEST_F(PassedFunctionTest, MastersTheBusWhereThePortAboveDoes) {
    make();
    pci::FakeMsiVector vector;
    pci::RootPort port(1, vector);
    port.attach(*function_);
    set_config(4, 2, kCommandMaster);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003);
    EXPECT_EQ(cxlvm::test::write_value(port, 4, 2, kCommandMaster), IoStatus::Ok);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0007);
    EXPECT_EQ(cxlvm::test::write_value(port, 4, 2, 0), IoStatus::Ok);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003);
    function_.reset();
}

TEST_F(PassedFunctionTest, RefusesADeviceThatContradictsItself) {
    kernel_.regions[0].size = 3 * kPage;
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("BAR 0 has"));
    kernel_.regions[0].size = 8;
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("BAR 0 has"));
    kernel_.regions[0].size = std::uint64_t{1} << 32;
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("BAR 0 has"));
    kernel_.regions[0].size = 2 * kPage;
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("not within BAR 0"));
    kernel_.set_config<std::uint32_t>(kMsix + 4, 0x2007);
    kernel_.set_config<std::uint32_t>(kMsix + 8, 0x3007);
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("in no memory BAR"));
    kernel_.short_by = 1;
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("configuration space"));
    kernel_.short_by = 0;
}

TEST_F(PassedFunctionTest, RefusesABarOf64BitsWithoutASecondHalf) {
    kernel_.set_bar(5, 16 * kPage, 4);
    EXPECT_THAT(message_of([&] { make(); }), HasSubstr("BAR 5"));
}

TEST_F(PassedFunctionTest, HasNoMessagesThatTheHostHasNot) {
    kernel_.irqs[Msi].first = 0;
    kernel_.irqs[Msix].first = 0;
    kernel_.irqs[Intx].first = 0;
    make();
    EXPECT_EQ(passed_->vectors(), 0U);
    EXPECT_EQ(chain(), (std::set<std::uint64_t>{0x01, 0x09, 0x10}));
    EXPECT_TRUE(kernel_.irq_calls.empty());
}

}  // namespace
}  // namespace cxlvm::vfio
