// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/vfio_pci_function.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <thread>

#include "devices/pci/root_port.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/devices/vfio/fake_kernel.hpp"
#include "tests/memory/fake_memory.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::vfio {
namespace {

using cxlvm::test::kPage;
using test::FakeKernel;
using test::message_of;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kBase = 0xc000'0000;
constexpr std::uint64_t kWideBase = 0x8'0000'0000;
constexpr std::uint16_t kCommandMemory = 0x2;
constexpr std::uint16_t kCommandMaster = 0x4;
constexpr std::uint16_t kDisableIntx = 0x400;
// Where the device of these tests has its capabilities.
constexpr std::uint8_t kMsi = 0x40;
constexpr std::uint8_t kExpress = 0x60;
constexpr std::uint8_t kPower = 0xa0;
constexpr std::uint8_t kMsix = 0xb0;
constexpr std::uint8_t kVendor = 0xc0;
constexpr unsigned kVectors = 5;
enum Kind : std::uint32_t { Intx, Msi, Msix };

class FakeVector final : public MsiVector {
  public:
    void route(const std::optional<MsiMessage>& message) noexcept override {
        together = together || inside_.exchange(true);
        std::this_thread::yield();
        message_ = message;
        inside_ = false;
    }
    void fire() noexcept override { ++fired; }
    void forget_signals() noexcept override { waiting = false; }
    [[nodiscard]] int share() noexcept override { return 100 + number; }
    [[nodiscard]] const std::optional<MsiMessage>& message() const { return message_; }
    int number = 0;
    int fired = 0;
    bool waiting = false;                ///< a signal, for a message
    std::atomic<bool> together = false;  ///< two calls of route() at once

  private:
    std::atomic<bool> inside_ = false;
    std::optional<MsiMessage> message_;
};

class PassedFunctionTest : public testing::Test {
  protected:
    PassedFunctionTest() {
        kernel_.set_config<std::uint32_t>(0, 0x5678'1234);
        kernel_.set_config<std::uint8_t>(0x3d, 1);
        kernel_.set_config<std::uint16_t>(4, 0x0001);
        capability(0, kMsi, 0x05);
        kernel_.set_config<std::uint16_t>(kMsi + 2, 0x80 | 2 << 1);
        capability(kMsi, kExpress, 0x10);
        kernel_.set_config<std::uint16_t>(kExpress + 2, 2);
        kernel_.set_config<std::uint32_t>(kExpress + 4, 0x0000'8fe0);
        capability(kExpress, kPower, 0x01);
        capability(kPower, kMsix, 0x11);
        kernel_.set_config<std::uint16_t>(kMsix + 2, kVectors - 1);
        kernel_.set_config<std::uint32_t>(kMsix + 4, 0x2000);
        kernel_.set_config<std::uint32_t>(kMsix + 8, 0x3000);
        capability(kMsix, kVendor, 0x09);
        kernel_.set_config<std::uint8_t>(kVendor + 2, 0x10);
        kernel_.set_config<std::uint32_t>(kVendor + 4, 0x1122'3344);
        kernel_.set_bar(0, 8 * kPage);
        kernel_.set_bar(2, 16 * kPage, 0xc);
        kernel_.set_bar(4, 0x20, 1);  // I/O
        kernel_.irqs[Msi].first = 4;
        kernel_.irqs[Msix].first = kVectors;
    }
    ~PassedFunctionTest() override { function_.reset(); }

    void capability(std::uint8_t previous, std::uint8_t at, std::uint8_t id) {
        kernel_.set_config<std::uint16_t>(6, 0x10);
        kernel_.set_config<std::uint8_t>(previous == 0 ? 0x34 : previous + 1U, at);
        kernel_.set_config<std::uint8_t>(at, id);
    }
    void extended(std::uint16_t at, std::uint16_t id, std::uint16_t next) {
        kernel_.set_config<std::uint32_t>(at,
                                          std::uint32_t{id} | 1U << 16 | std::uint32_t{next} << 20);
    }
    void make() {
        passed_.emplace(VfioDevice(kernel_, io::Fd(FakeKernel::new_descriptor()), "passed"));
        for (std::size_t i = 0; i < passed_->vectors(); ++i) {
            vectors_.emplace_back().number = static_cast<int>(i);
            pointers_.push_back(&vectors_.back());
        }
        function_.emplace(*passed_, FunctionWiring{.bars = mapper_,
                                                   .type = pci::PortType::Endpoint,
                                                   .vectors = pointers_,
                                                   .pin = SignalledPin{.trigger = 7, .resample = 8},
                                                   .log = log_});
    }
    std::uint64_t config(std::uint64_t offset, std::size_t size) {
        return cxlvm::test::read_value(*function_, offset, size).value();
    }
    void set_config(std::uint64_t offset, std::size_t size, std::uint64_t value) {
        EXPECT_EQ(cxlvm::test::write_value(*function_, offset, size, value), IoStatus::Ok);
    }
    void place() {
        set_config(0x10, 4, kBase);
        set_config(0x18, 4, static_cast<std::uint32_t>(kWideBase));
        set_config(0x1c, 4, kWideBase >> 32);
        set_config(4, 2, kCommandMemory | kCommandMaster);
    }
    /// Of the MSI-X table; not masked.
    void program_entry_0() {
        for (const auto& [offset, value] : std::map<std::uint64_t, std::uint32_t>{
                 {0x2000, 0xfee0'1000}, {0x2008, 0x41}, {0x200c, 0}}) {
            EXPECT_EQ(cxlvm::test::write_value(space_, kBase + offset, value), IoStatus::Ok);
        }
    }
    std::set<std::uint64_t> chain() {
        std::set<std::uint64_t> ids;
        std::uint64_t at = config(0x34, 1);
        for (int i = 0; at != 0 && i < 48; ++i, at = config(at + 1, 1)) {
            ids.insert(config(at, 1));
        }
        return ids;
    }
    /// What of a kind was enabled last: eventfds, none when it was disabled.
    std::vector<int> enabled(Kind kind) {
        std::vector<int> last;
        for (const auto& call : kernel_.irq_calls) {
            if (call.index == kind && (call.flags & VFIO_IRQ_SET_ACTION_TRIGGER) != 0) {
                last = call.eventfds;
            }
        }
        return last;
    }

    [[nodiscard]] std::string logged() const {
        std::array<char, 4096> text{};
        const auto size = ::pread(log_file_.get(), text.data(), text.size(), 0);
        return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }

    FakeKernel kernel_;
    io::Fd log_file_{::memfd_create("log", MFD_CLOEXEC)};
    io::Log log_{log_file_.get(), io::LogLevel::Warn};
    AddressSpace space_{16};
    pci::BarMapper mapper_{space_, Gpa((std::uint64_t{1} << 40) - 1), log_};
    std::deque<FakeVector> vectors_;
    std::vector<MsiVector*> pointers_;
    std::optional<PassedDevice> passed_;
    std::optional<VfioPciFunction> function_;
};

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

TEST_F(PassedFunctionTest, HasItsPinUntilMessagesAreEnabled) {
    make();
    EXPECT_EQ(enabled(Intx), std::vector<int>{7});
    EXPECT_EQ(kernel_.irq_calls.back().eventfds, std::vector<int>{8})
        << "served: it may come again";
    set_config(kMsi + 2, 2, 2 << 4 | 1);
    EXPECT_TRUE(enabled(Intx).empty());
    EXPECT_EQ(enabled(Msi), (std::vector<int>{100, 101, 102, 103}));
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_TRUE(enabled(Msi).empty());
    EXPECT_EQ(enabled(Msix), (std::vector<int>{100, 101, 102, 103, 104}));
    const std::size_t calls = kernel_.irq_calls.size();
    set_config(kMsix + 2, 2, 0xc000);
    EXPECT_EQ(kernel_.irq_calls.size(), calls) << "a mask is no change";
    set_config(kMsix + 2, 2, 0);
    set_config(kMsi + 2, 2, 0);
    EXPECT_EQ(enabled(Intx), std::vector<int>{7});
}

TEST_F(PassedFunctionTest, EnablesAsManyMessagesAsTheGuestAllocates) {
    make();
    set_config(kMsi + 2, 2, 1 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 2U);
    set_config(kMsi + 2, 2, 7 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 4U) << "there are no more than there are";
}

TEST_F(PassedFunctionTest, RoutesTheMessagesOfItsVectors) {
    make();
    place();
    program_entry_0();
    EXPECT_FALSE(vectors_[0].message());
    set_config(kMsix + 2, 2, 0x8000);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    EXPECT_EQ(vectors_[0].message()->data, 0x41U);
    EXPECT_FALSE(vectors_[1].message()) << "masked";
    set_config(4, 2, kCommandMemory);
    EXPECT_FALSE(vectors_[0].message()) << "without Bus Master Enable";
}

TEST_F(PassedFunctionTest, KeepsMessagesOfMsixWhenMsiEndsBesideIt) {
    make();
    place();
    program_entry_0();
    set_config(kMsi + 4, 4, 0xfee0'2000);
    set_config(kMsi + 2, 2, 1);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'2000U);
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    set_config(kMsi + 2, 2, 0);
    ASSERT_TRUE(vectors_[0].message()) << "MSI-X has its message still";
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U);
    set_config(kMsi + 2, 2, 1);
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'1000U) << "MSI-X comes first";
    set_config(kMsix + 2, 2, 0);
    ASSERT_TRUE(vectors_[0].message());
    EXPECT_EQ(vectors_[0].message()->address, 0xfee0'2000U);
    set_config(kMsi + 2, 2, 0);
    EXPECT_FALSE(vectors_[0].message());
}

TEST_F(PassedFunctionTest, RoutesAVectorOfMsiAndMsixOnceAtATime) {
    make();
    place();
    program_entry_0();
    set_config(kMsi + 2, 2, 1);
    set_config(kMsix + 2, 2, 0x8000);
    constexpr int kTurns = 500;
    {
        const std::jthread other([&] {
            for (int i = 0; i < kTurns; ++i) {
                set_config(kMsi + 2, 2, static_cast<unsigned>(i) % 2);
            }
        });
        for (std::uint32_t i = 0; i < kTurns; ++i) {
            EXPECT_EQ(cxlvm::test::write_value(space_, kBase + 0x200c, i % 2), IoStatus::Ok);
        }
    }
    EXPECT_FALSE(vectors_[0].together);
}

TEST_F(PassedFunctionTest, UsesFewerVectorsWhereTheHostHasFewer) {
    make();
    kernel_.message_limit = 3;
    set_config(kMsix + 2, 2, 0x8000);
    EXPECT_EQ(enabled(Msix).size(), 3U);
    set_config(kMsix + 2, 2, 0);
    set_config(kMsi + 2, 2, 2 << 4 | 1);
    EXPECT_EQ(enabled(Msi).size(), 2U) << "a power of two";
}

TEST_F(PassedFunctionTest, LivesWithoutInterruptsThatTheHostRefuses) {
    make();
    for (const int error : {EINVAL, EBUSY, ENOMEM, ENOSPC, EPERM, EFAULT}) {
        kernel_.answers[VFIO_DEVICE_SET_IRQS] = -error;
        set_config(kMsix + 2, 2, 0x8000);
        const std::size_t calls = kernel_.calls.size();
        set_config(kVendor + 4, 4, 1);
        EXPECT_EQ(kernel_.calls.size(), calls) << "not tried again until something changes";
        kernel_.answers.clear();
        set_config(kMsix + 2, 2, 0);
        EXPECT_EQ(enabled(Intx), std::vector<int>{7});
    }
}

TEST_F(PassedFunctionTest, NamesTheSharedLineThatKeepsItFromItsPin) {
    kernel_.answers[VFIO_DEVICE_SET_IRQS] = -EBUSY;
    make();
    EXPECT_THAT(logged(), AllOf(HasSubstr("INTx"), HasSubstr("/proc/interrupts")));
}

TEST_F(PassedFunctionTest, ResetsTheDeviceWhenTheGuestStartsAFunctionLevelReset) {
    make();
    place();
    EXPECT_EQ(config(kExpress + 4, 4) >> 28 & 1, 1U) << "it can be reset";
    kernel_.writes.clear();
    set_config(kExpress + 8, 2, 0x8010);
    EXPECT_EQ(kernel_.resets, 1);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(kExpress + 8), 0x0010U) << "not by the register";
    EXPECT_EQ(config(4, 2), 0U);
    EXPECT_EQ(config(0x10, 4), 0U);
    std::uint32_t value = 0;
    EXPECT_EQ(cxlvm::test::read_value(space_, kBase, value), IoStatus::Unmapped);
    set_config(kExpress + 9, 1, 0x80);
    EXPECT_EQ(kernel_.resets, 2);
    set_config(kExpress + 8, 1, 0xff);
    EXPECT_EQ(kernel_.resets, 2);
}

TEST_F(PassedFunctionTest, ForgetsInAResetWhatWasSignalledBefore) {
    make();
    const auto signal = [&] {
        for (FakeVector& vector : vectors_) {
            vector.waiting = true;
        }
    };
    signal();
    kernel_.on_reset = signal;
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_TRUE(std::ranges::none_of(vectors_, &FakeVector::waiting));
}

TEST_F(PassedFunctionTest, ForgetsWhatWasSignalledInAResetThatTheHostHasNot) {
    kernel_.device_flags = VFIO_DEVICE_FLAGS_PCI;
    make();
    vectors_[1].waiting = true;
    function_->reset();
    EXPECT_FALSE(vectors_[1].waiting);
}

TEST_F(PassedFunctionTest, HasNoFunctionLevelResetThatTheHostHasNot) {
    kernel_.device_flags = VFIO_DEVICE_FLAGS_PCI;
    kernel_.set_config<std::uint32_t>(kExpress + 4, 0x1000'8fe0);
    make();
    EXPECT_EQ(config(kExpress + 4, 4) >> 28 & 1, 0U);
    EXPECT_THAT(logged(), HasSubstr("passed: the host cannot reset it"));
    set_config(kExpress + 8, 2, 0x8000);
    function_->reset();
    EXPECT_EQ(kernel_.resets, 0);
}

TEST_F(PassedFunctionTest, TriesAResetAgainThatTheHostIsTooBusyFor) {
    make();
    kernel_.answers[VFIO_DEVICE_RESET] = -EAGAIN;
    kernel_.calls.clear();
    function_->reset();
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 10);
    kernel_.answers[VFIO_DEVICE_RESET] = -EIO;
    kernel_.calls.clear();
    function_->reset();
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1);
}

TEST_F(PassedFunctionTest, BeginsNoResetOnceTheyHaveEnded) {
    make();
    kernel_.answers[VFIO_DEVICE_RESET] = -EAGAIN;
    kernel_.on_reset = [this] { function_->end_resets(); };
    kernel_.calls.clear();
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1)
        << "not tried again";
    set_config(kExpress + 8, 2, 0x8000);
    EXPECT_EQ(std::ranges::count(kernel_.calls, std::uint64_t{VFIO_DEVICE_RESET}), 1);
}

TEST_F(PassedFunctionTest, SendsNothingAndReachesNothingOnceStopped) {
    make();
    place();
    set_config(kMsix + 2, 2, 0x8000);
    function_->stop();
    EXPECT_TRUE(enabled(Msix).empty());
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003U);
    set_config(4, 2, kCommandMaster);
    set_config(kMsix + 2, 2, 0);
    EXPECT_EQ(kernel_.get_config<std::uint16_t>(4), 0x0003U);
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
