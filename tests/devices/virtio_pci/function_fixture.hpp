// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/pci/bar_mapper.hpp"
#include "devices/virtio_pci/virtio_function.hpp"
#include "tests/devices/pci/fake_msi_vector.hpp"
#include "tests/devices/virtio/fake_device.hpp"
#include "tests/support/fake_irq_line.hpp"
#include "tests/support/io_access.hpp"
#include "tests/support/virtio_driver.hpp"

namespace cxlvm::virtio {

inline constexpr std::uint64_t kCommand = 0x04;
inline constexpr std::uint64_t kStatus = 0x06;
inline constexpr std::uint64_t kBar0 = 0x10;
inline constexpr std::uint64_t kPointer = 0x34;
inline constexpr std::uint16_t kDecodeAndMaster = 0x6;
inline constexpr std::uint64_t kBase = 0x40'0000'0000;

/// Connects nothing, and remembers where it was asked to.
class FakeDoorbellHost final : public DoorbellHost {
  public:
    std::error_code connect(Gpa address, int eventfd) noexcept override {
        bells.push_back({address, eventfd});
        return {};
    }
    void disconnect(Gpa address, int /*eventfd*/) noexcept override {
        std::erase_if(bells, [&](const Bell& bell) { return bell.address == address; });
    }
    struct Bell {
        Gpa address;
        int eventfd;
    };
    std::vector<Bell> bells;
};

/// A fake device behind a virtio function, a guest's hands, and a loop that the test turns.
class FunctionTest : public testing::Test {
  protected:
    FunctionTest() { space_.connect_doorbells(host_); }
    ~FunctionTest() override {
        if (started_) {
            stop();
        }
    }
    FunctionTest(const FunctionTest&) = delete;
    FunctionTest& operator=(const FunctionTest&) = delete;

    std::uint64_t config(std::uint64_t offset, std::size_t size) {
        return test::read_value(function_, offset, size).value();
    }
    void set_config(std::uint64_t offset, std::size_t size, std::uint64_t value) {
        ASSERT_EQ(test::write_value(function_, offset, size, value), IoStatus::Ok);
    }
    void place(std::uint64_t base = kBase) {
        set_config(kBar0, 4, base & 0xffff'ffff);
        set_config(kBar0 + 4, 4, base >> 32);
        set_config(kCommand, 2, kDecodeAndMaster);
    }
    std::optional<std::uint64_t> get(std::uint64_t offset, std::size_t size) {
        std::uint64_t value = 0;
        if (space_.read(kBase + offset, std::as_writable_bytes(std::span(&value, 1)).first(size)) !=
            IoStatus::Ok) {
            return std::nullopt;
        }
        return value;
    }
    void set(std::uint64_t offset, std::size_t size, std::uint64_t value) {
        ASSERT_EQ(space_.write(kBase + offset, std::as_bytes(std::span(&value, 1)).first(size)),
                  IoStatus::Ok);
    }
    void set_common(Common field, std::size_t size, std::uint64_t value) {
        set(kCommonBase + static_cast<std::uint64_t>(field), size, value);
    }
    /// As a driver does up to DRIVER_OK, with queue 0 and vectors 0 and 1.
    void bring_up() {
        place();
        set_common(Common::DeviceStatus, 1, 1);
        set_common(Common::DeviceStatus, 1, 3);
        set_common(Common::DriverFeatureSelect, 4, 1);
        set_common(Common::DriverFeature, 4, kFeatureVersion1 >> 32U);
        set_common(Common::DeviceStatus, 1, 0xb);
        set_common(Common::ConfigMsixVector, 2, 0);
        const QueueSetup setup = test::VirtioDriver(memory_, 8).setup();
        set_common(Common::QueueSelect, 2, 0);
        set_common(Common::QueueSize, 2, setup.size);
        set_common(Common::QueueMsixVector, 2, 1);
        set_common(Common::QueueDescLow, 4, setup.descriptors.value());
        set_common(Common::QueueDriverLow, 4, setup.driver.value());
        set_common(Common::QueueDeviceLow, 4, setup.device.value());
        set_common(Common::QueueEnable, 2, 1);
        set_common(Common::DeviceStatus, 1, 0xf);
        ASSERT_EQ(get(kCommonBase + static_cast<std::uint64_t>(Common::DeviceStatus), 1), 0xf);
        (void)device_.take_notified();
    }
    /// Where the capability of `id` lies whose byte at `offset` is `value`.
    std::uint64_t capability(std::uint8_t id, std::uint64_t offset, std::uint64_t value) {
        for (std::uint64_t at = config(kPointer, 1); at != 0; at = config(at + 1, 1)) {
            if (config(at, 1) == id && config(at + offset, 1) == value) {
                return at;
            }
        }
        return 0;
    }
    std::uint64_t structure(PciCapability type) {
        return capability(0x09, kPciCapType, static_cast<std::uint64_t>(type));
    }
    void enable_msix(bool on) { set_config(msix_ + 2, 2, on ? 0x8000 : 0); }
    void program(unsigned vector, std::uint64_t address) {
        const std::uint64_t entry = VirtioFunction::kMsixTable + 16ULL * vector;
        set(entry, 8, address);
        set(entry + 8, 8, 0x41);
    }
    void start() {
        function_.start();
        started_ = true;
        turn();
    }
    void turn() {
        while (loop_.run_ready() != 0) {
        }
    }
    /// Also what the kernel has only just been given.
    void turn_often() {
        for (int i = 0; i < 20; ++i) {
            turn();
        }
    }
    void stop() {
        started_ = false;
        stopped_ = false;
        function_.stop(stopped_task_);
        await_stopped();
        ASSERT_TRUE(stopped_);
    }
    void await_stopped() {
        for (int i = 0; i < 1000 && !stopped_; ++i) {
            turn();
        }
    }
    void on_stopped() noexcept { stopped_ = true; }

    GuestMemory memory_{test::two_blocks()};
    io::Log log_{2, io::LogLevel::Off};
    io::EventLoop loop_;
    AddressSpace space_{8};
    FakeDoorbellHost host_;
    pci::BarMapper mapper_{space_, Gpa((std::uint64_t{1} << 46) - 1), log_};
    test::FakeVirtioDevice device_;
    test::FakeIrqLine pin_;
    pci::FakeMsiVectors vectors_{VirtioFunction::vectors_of(device_)};
    VirtioFunction function_{device_,
                             {.memory = memory_,
                              .bars = mapper_,
                              .pin = pin_,
                              .vectors = vectors_.pointers(),
                              .loop = loop_,
                              .log = log_}};
    const std::uint64_t msix_ = capability(0x11, 0, 0x11);
    bool started_ = false;
    bool stopped_ = false;
    io::Task stopped_task_{io::Task::to<&FunctionTest::on_stopped>(*this)};
};

}  // namespace cxlvm::virtio
