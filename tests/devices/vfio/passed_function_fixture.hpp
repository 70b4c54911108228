// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "devices/vfio/vfio_pci_function.hpp"
#include "tests/devices/vfio/fake_kernel.hpp"
#include "tests/memory/fake_memory.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::vfio::test {

using cxlvm::test::kPage;

inline constexpr std::uint64_t kBase = 0xc000'0000;
inline constexpr std::uint64_t kWideBase = 0x8'0000'0000;
inline constexpr std::uint16_t kCommandMemory = 0x2;
inline constexpr std::uint16_t kCommandMaster = 0x4;
inline constexpr std::uint16_t kDisableIntx = 0x400;
// Where the device of these tests has its capabilities.
inline constexpr std::uint8_t kMsi = 0x40;
inline constexpr std::uint8_t kExpress = 0x60;
inline constexpr std::uint8_t kPower = 0xa0;
inline constexpr std::uint8_t kMsix = 0xb0;
inline constexpr std::uint8_t kVendor = 0xc0;
inline constexpr unsigned kVectors = 5;
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

/// A device with MSI, MSI-X, a pin and BARs, that make() makes a function of.
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

}  // namespace cxlvm::vfio::test
