// SPDX-License-Identifier: Apache-2.0
#include "vmm/vcpu/exit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tests/vmm/support/kvm_fixture.hpp"

namespace cxlvm {
namespace {

using test::Access;
using test::Recorder;

/// A page as the kernel shares it, filled by hand.
class ExitTest : public testing::Test {
  protected:
    static constexpr std::size_t kDataOffset = 4096;

    ExitTest() {
        EXPECT_FALSE(memory_.map(memory_region_, 0xd000'0000));
        EXPECT_FALSE(ports_.map(port_region_, 0x3f8));
    }

    kvm_run& run() { return *reinterpret_cast<kvm_run*>(page_.data()); }
    std::uint8_t* data() { return page_.data() + kDataOffset; }

    void port(bool out, std::uint8_t size, std::uint16_t number, std::uint32_t count) {
        run().exit_reason = KVM_EXIT_IO;
        run().io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
        run().io.size = size;
        run().io.port = number;
        run().io.count = count;
        run().io.data_offset = kDataOffset;
    }
    void mmio(bool write, std::uint64_t address, std::uint32_t length) {
        run().exit_reason = KVM_EXIT_MMIO;
        run().mmio.phys_addr = address;
        run().mmio.len = length;
        run().mmio.is_write = write ? 1 : 0;
        for (unsigned i = 0; i < sizeof(run().mmio.data); ++i) {
            run().mmio.data[i] = static_cast<std::uint8_t>(i + 1);
        }
    }
    ExitVerdict dispatch() { return dispatcher_.dispatch(run()); }

    alignas(4096) std::array<std::uint8_t, 8192> page_{};
    Recorder memory_device_;
    Recorder port_device_;
    AddressSpace memory_{4};
    AddressSpace ports_{4};
    Region memory_region_{"memory", 0x1000, memory_device_};
    Region port_region_{"ports", 8, port_device_};
    ExitCounters counters_;
    ExitDispatcher dispatcher_{memory_, ports_, counters_};
};

TEST_F(ExitTest, APortWriteReachesTheDeviceWithItsBytes) {
    port(true, 2, 0x3fa, 1);
    data()[0] = 0x34;
    data()[1] = 0x12;
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(port_device_.accesses(), (std::vector{Access{true, 2, {0x34, 0x12}}}));
    EXPECT_EQ(counters_.io.load(), 1u);
    EXPECT_EQ(counters_.mmio.load(), 0u);
}

TEST_F(ExitTest, APortReadPutsTheDevicesBytesIntoThePage) {
    port(false, 4, 0x3f8, 1);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ((std::vector<std::uint8_t>(data(), data() + 4)),
              (std::vector<std::uint8_t>{0xa0, 0xa1, 0xa2, 0xa3}));
}

TEST_F(ExitTest, AStringWriteIsAsManyAccessesToOnePort) {
    port(true, 1, 0x3f8, 3);
    std::memcpy(data(), "abc", 3);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(port_device_.accesses(), (std::vector{Access{true, 0, {'a'}}, Access{true, 0, {'b'}},
                                                    Access{true, 0, {'c'}}}));
    EXPECT_EQ(counters_.io.load(), 1u);
}

TEST_F(ExitTest, AStringReadFillsEachElement) {
    port(false, 2, 0x3f8, 2);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ((std::vector<std::uint8_t>(data(), data() + 4)),
              (std::vector<std::uint8_t>{0xa0, 0xa1, 0xa0, 0xa1}));
}

TEST_F(ExitTest, AnUnclaimedPortReadsAllOnesAndIsCounted) {
    port(false, 2, 0x1234, 1);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(data()[0], 0xff);
    EXPECT_EQ(data()[1], 0xff);
    EXPECT_EQ(counters_.unclaimed.load(), 1u);
}

TEST_F(ExitTest, AnAccessPastTheLastPortOfADeviceIsUnclaimed) {
    port(true, 2, 0x3ff, 1);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(port_device_.count(), 0u);
    EXPECT_EQ(counters_.unclaimed.load(), 1u);
}

TEST_F(ExitTest, AMemoryWriteReachesTheDevice) {
    mmio(true, 0xd000'0010, 4);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(memory_device_.accesses(), (std::vector{Access{true, 0x10, {1, 2, 3, 4}}}));
    EXPECT_EQ(counters_.mmio.load(), 1u);
}

TEST_F(ExitTest, AMemoryReadReturnsTheDevicesBytes) {
    mmio(false, 0xd000'0ff8, 8);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(run().mmio.data[0], 0xa0);
    EXPECT_EQ(run().mmio.data[7], 0xa7);
}

TEST_F(ExitTest, AnOddLengthIsServedInPowersOfTwo) {
    mmio(true, 0xd000'0001, 7);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(memory_device_.accesses(),
              (std::vector{Access{true, 1, {1, 2, 3, 4}}, Access{true, 5, {5, 6}},
                           Access{true, 7, {7}}}));
}

TEST_F(ExitTest, ALengthBeyondThePageIsCut) {
    mmio(false, 0xd000'0000, 64);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(memory_device_.accesses().size(), 1u);
    EXPECT_EQ(memory_device_.accesses()[0].data.size(), 8u);
}

TEST_F(ExitTest, AnAccessAtTheTopOfTheAddressSpaceIsUnclaimed) {
    mmio(false, ~std::uint64_t{0} - 2, 8);
    EXPECT_EQ(dispatch(), ExitVerdict::Resume);
    EXPECT_EQ(run().mmio.data[0], 0xff);
    EXPECT_EQ(counters_.unclaimed.load(), 1u);
}

struct EndCase {
    std::uint32_t exit_reason;
    std::uint32_t event;
    ExitVerdict verdict;
};

class ExitEndTest : public ExitTest, public testing::WithParamInterface<EndCase> {};

TEST_P(ExitEndTest, EndsTheVcpuWithItsVerdict) {
    run().exit_reason = GetParam().exit_reason;
    if (GetParam().exit_reason == KVM_EXIT_SYSTEM_EVENT) {
        run().system_event.type = GetParam().event;
    }
    EXPECT_EQ(dispatch(), GetParam().verdict);
    EXPECT_EQ(counters_.other.load(), 1u);
    EXPECT_EQ(port_device_.count() + memory_device_.count(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, ExitEndTest,
    testing::Values(EndCase{KVM_EXIT_SHUTDOWN, 0, ExitVerdict::TripleFault},
                    EndCase{KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_SHUTDOWN,
                            ExitVerdict::PowerOff},
                    EndCase{KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_RESET, ExitVerdict::Reset},
                    EndCase{KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_CRASH, ExitVerdict::GuestPanic},
                    EndCase{KVM_EXIT_SYSTEM_EVENT, 0x7777, ExitVerdict::Unknown},
                    EndCase{KVM_EXIT_INTERNAL_ERROR, 0, ExitVerdict::InternalError},
                    EndCase{KVM_EXIT_FAIL_ENTRY, 0, ExitVerdict::EntryFailed},
                    EndCase{KVM_EXIT_UNKNOWN, 0, ExitVerdict::Unknown},
                    EndCase{0xffff'ffff, 0, ExitVerdict::Unknown}));

}  // namespace
}  // namespace cxlvm
