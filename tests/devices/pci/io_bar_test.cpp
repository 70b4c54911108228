// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "devices/pci/bar_mapper.hpp"
#include "devices/pci/root_port.hpp"
#include "tests/devices/pci/bar_fixture.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"

namespace cxlvm::pci {
namespace {

constexpr std::uint64_t kBar = 0x10;
constexpr std::uint64_t kCommand = 0x04;
constexpr std::uint16_t kDecodePorts = 1;
constexpr std::uint16_t kDecodeMemory = 2;
constexpr std::uint64_t kPorts = 0x1040;

/// A function with 64 I/O ports behind BAR 0.
class PortFunction final : public PciFunction {
  public:
    static constexpr std::uint64_t kSize = 64;

    explicit PortFunction(BarMapper& mapper)
        : PciFunction("port-function", {.vendor_id = 0x1234, .device_id = 0x5678}),
          bars(*this, mapper,
               {{.index = 0, .kind = BarKind::Ports, .size = kSize, .pieces = {{0, region}}}}) {}

    void place(std::uint64_t base, std::uint16_t command = kDecodePorts) {
        test::write_value(*this, kBar, 4, base);
        test::write_value(*this, kCommand, 2, command);
    }

    test::FakeHandler handler;
    Region region{"ports", kSize, handler};
    Bars bars;
};

class IoBarTest : public testing::Test {
  protected:
    IoStatus in(std::uint64_t port) {
        std::byte data{};
        return ports_.read(port, std::span(&data, 1));
    }

    io::Log log_{2, io::LogLevel::Off};
    AddressSpace memory_{4};
    AddressSpace ports_{4};
    BarMapper mapper_{memory_, Gpa((std::uint64_t{1} << 40) - 1), log_, &ports_};
    PortFunction function_{mapper_};
};

TEST_F(IoBarTest, SizesAsPortsAndSaysSo) {
    EXPECT_EQ(test::read_value(function_, kBar, 4), 1U);
    test::write_value(function_, kBar, 4, 0xffff'ffff);
    EXPECT_EQ(test::read_value(function_, kBar, 4), 0xffff'ffc1U);
    test::write_value(function_, kBar, 4, 0);
    EXPECT_EQ(test::read_value(function_, kBar, 4), 1U);
}

TEST_F(IoBarTest, AnswersWhileIoSpaceIsEnabledUpToItsLastPort) {
    function_.place(kPorts, kDecodeMemory);
    EXPECT_EQ(in(kPorts), IoStatus::Unmapped);
    function_.place(kPorts);
    EXPECT_EQ(in(kPorts), IoStatus::Ok);
    EXPECT_EQ(in(kPorts + PortFunction::kSize - 1), IoStatus::Ok);
    EXPECT_EQ(function_.handler.last_offset, PortFunction::kSize - 1);
    EXPECT_EQ(in(kPorts + PortFunction::kSize), IoStatus::Unmapped);
    EXPECT_EQ(in(kPorts - 1), IoStatus::Unmapped);
    function_.place(kPorts, 0);
    EXPECT_EQ(in(kPorts), IoStatus::Unmapped) << "nothing of ports is kept";
}

TEST_F(IoBarTest, FollowsItsRegister) {
    function_.place(kPorts);
    function_.place(0x2000);
    EXPECT_EQ(in(kPorts), IoStatus::Unmapped);
    EXPECT_EQ(in(0x2000), IoStatus::Ok);
    function_.reset();
    EXPECT_EQ(in(0x2000), IoStatus::Unmapped);
}

TEST_F(IoBarTest, IsNowhereOutsideOf64Ki) {
    function_.place(0xffc0);
    EXPECT_EQ(in(0xffff), IoStatus::Ok);
    for (const std::uint64_t base : {0x0ULL, 0x1'0000ULL, 0xffff'ffc0ULL}) {
        function_.place(base);
        EXPECT_FALSE(function_.region.mapped()) << base;
    }
}

TEST_F(IoBarTest, LeavesWhatIsThereAlready) {
    test::FakeHandler handler;
    Region taken("taken", 8, handler);
    ASSERT_FALSE(ports_.map(taken, kPorts + 8));
    function_.place(kPorts);
    EXPECT_EQ(in(kPorts), IoStatus::Unmapped);
    EXPECT_EQ(in(kPorts + 8), IoStatus::Ok);
    EXPECT_EQ(handler.reads, 1);
    ports_.unmap(taken);
}

TEST_F(IoBarTest, IsNotReachedBehindAPort) {
    FakeMsiVector vector;
    RootPort port(1, vector);
    function_.set_upstream(&port);
    function_.place(kPorts);
    EXPECT_EQ(in(kPorts), IoStatus::Unmapped);
}

}  // namespace
}  // namespace cxlvm::pci
