// SPDX-License-Identifier: Apache-2.0
// Drives the registers of the virtio PCI transport with arbitrary accesses, while the device fails,
// changes its configuration and takes its time to reset, and checks what must hold whatever a
// driver does.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/virtio/transport.hpp"
#include "io/error.hpp"
#include "io/log.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/script.hpp"
#include "tests/support/io_access.hpp"

namespace cxlvm::virtio {
namespace {

constexpr std::uint64_t kFeatures = feature(0) | feature(23);
constexpr std::uint16_t kVectors = 3;

GuestMemory& memory() {
    static GuestMemory memory(
        {.size = 0x8000, .numa_node = {}, .hole_base = Gpa(0x4000), .high_base = Gpa(0x8000)});
    return memory;
}

using test::Script;

class FuzzedDevice final : public VirtioDevice {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "fuzzed"; }
    [[nodiscard]] DeviceId id() const noexcept override { return DeviceId::Entropy; }
    [[nodiscard]] std::uint64_t features() const noexcept override { return kFeatures; }
    [[nodiscard]] std::span<const QueueLimits> queues() const noexcept override { return kQueues; }
    [[nodiscard]] std::span<const std::byte> initial_config() const noexcept override {
        return kConfig;
    }
    void attach(DeviceHost& host) noexcept override { host_ = &host; }
    [[nodiscard]] bool activate(const Activation& activation) noexcept override {
        io::check(!active && !resetting, "a device is activated that is not at rest");
        io::check((activation.features & kFeatureVersion1) != 0, "VERSION_1 is missing");
        const std::uint64_t own = kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx;
        io::check((activation.features & ~(kFeatures | own)) == 0, "a feature was not offered");
        active = true;
        queues_ = activation.queues;
        return can_work;
    }
    void queue_notified(std::uint16_t queue) noexcept override {
        io::check(active && queue < kQueues.size(), "a notification comes out of turn");
        while (const auto chain = queues_[queue].pop()) {
            queues_[queue].push(chain->head, 0);
        }
        (void)queues_[queue].enable_kicks();
        if (queues_[queue].should_notify()) {
            host_->notify_queue(queue);
        }
        if (queues_[queue].error() != QueueError::None) {
            host_->fail(describe(queues_[queue].error()));
        }
    }
    [[nodiscard]] bool write_config(std::size_t offset,
                                    std::span<const std::byte> data) noexcept override {
        io::check(offset + data.size() <= kConfig.size(), "a write leaves the configuration");
        return offset % 4 == 0;
    }
    void reset() noexcept override {
        io::check(active, "a device is reset that is not active");
        active = false;
        resetting = true;
    }
    void finish_reset() {
        if (resetting) {
            resetting = false;
            host_->reset_done();
        }
    }

    [[nodiscard]] DeviceHost& host() { return *host_; }
    bool active = false;
    bool resetting = false;
    bool can_work = true;

  private:
    static constexpr std::array<QueueLimits, 2> kQueues = {{{.max_size = 8}, {.max_size = 4}}};
    static constexpr std::array<std::byte, 7> kConfig = {};
    DeviceHost* host_ = nullptr;
    std::span<SplitQueue> queues_;
};

class Interrupts final : public TransportInterrupts {
  public:
    [[nodiscard]] std::uint16_t vectors() const noexcept override { return kVectors; }
    [[nodiscard]] bool msix_enabled() const noexcept override { return msix; }
    void raise(std::uint16_t vector) noexcept override {
        io::check(vector < kVectors, "a vector is raised that there is not");
    }
    void set_intx(bool level) noexcept override {
        io::check(level != level_, "the line is told what it knows");
        level_ = level;
    }
    [[nodiscard]] bool level() const { return level_; }
    bool msix = true;

  private:
    bool level_ = false;
};

class Machine {
  public:
    Machine() {
        for (const GuestMemory::Block& block : memory().blocks()) {
            std::ranges::fill(block.host, std::byte{0});
        }
    }

    void step(Script& script) {
        const std::uint8_t op = script.next();
        switch (op % 8U) {
            case 0:
            case 1:
            case 2:
                write_field(script.next(), script);
                break;
            case 3:
                access(script);
                break;
            case 4:
                store(script);
                break;
            case 5:
                (void)test::write_value(transport_, kNotifyBase + 4ULL * (op / 8U % 4U), 2, 0);
                break;
            case 6:
                device_.finish_reset();
                break;
            default:
                upset(op / 8U, script);
                break;
        }
        check();
    }

    /// However it got here, a reset ends where all began.
    void finish() {
        transport_.reset();
        device_.finish_reset();
        io::check(!transport_.resetting() && status() == 0, "a reset does not end");
        io::check(!interrupts_.level(), "a reset leaves the line high");
    }

  private:
    std::uint8_t status() { return static_cast<std::uint8_t>(*test::read8(transport_, 20)); }

    void write_field(std::uint8_t which, Script& script) {
        const RegisterSpec& field = kCommonTable[which % kCommonTable.size()];
        std::uint64_t value = 0;
        // Two bytes reach everything that there is; the upper ones are wrong at times.
        for (unsigned i = 0; i < (which < 0xf0 ? 2U : 4U); ++i) {
            value |= std::uint64_t{script.next()} << (8 * i);
        }
        io::check(test::write_value(transport_, field.offset, field.width, value) == IoStatus::Ok,
                  "a field is refused");
    }

    void access(Script& script) {
        const std::uint64_t offset =
            std::uint64_t{script.next()} % 4 * 0x1000 + script.next() % 70U;
        const std::size_t size = script.next() % 9U;
        if (size == 0) {
            return;
        }
        std::array<std::byte, 8> data{};
        if ((script.next() & 1U) != 0) {
            (void)transport_.read(offset, std::span(data).first(size));
        } else {
            data[0] = std::byte{script.next()};
            (void)transport_.write(offset, std::span<const std::byte>(data).first(size));
        }
    }

    static void store(Script& script) {
        std::uint64_t address = script.next();
        address |= std::uint64_t{script.next()} << 8U;
        for (std::size_t count = script.next() % 16U; count != 0; --count) {
            (void)memory().store(Gpa(address++), script.next());
        }
    }

    void upset(unsigned what, Script& script) {
        const std::array data = {std::byte{script.next()}};
        switch (what % 6U) {
            case 0:
                device_.host().fail("the script says so");
                break;
            case 1:
                device_.host().update_config(data.size() * (what % 7U), data);
                break;
            case 2:
                interrupts_.msix = !interrupts_.msix;
                break;
            case 3:
                device_.can_work = !device_.can_work;
                break;
            case 4:
                transport_.reset();
                break;
            default:
                device_.host().notify_queue(static_cast<std::uint16_t>(what));
                break;
        }
    }

    void check() {
        const std::uint8_t now = status();
        const bool driver_ok = (now & 0x04U) != 0;
        io::check(driver_ok == (device_.active || device_.resetting),
                  "DRIVER_OK does not say what the device does");
        io::check(!driver_ok || (now & 0x08U) != 0, "DRIVER_OK without FEATURES_OK");
        io::check(transport_.resetting() == device_.resetting, "a reset is lost");
        io::check(!device_.resetting || now != 0, "a reset looks complete that is not");
        io::check((now & 0x30U) == 0, "reserved status bits are set");
    }

    io::Log log_{2, io::LogLevel::Off};
    FuzzedDevice device_;
    Interrupts interrupts_;
    Transport transport_{device_, memory(), interrupts_, log_};
};

}  // namespace
}  // namespace cxlvm::virtio

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::virtio::Script script(std::span(data, size));
    cxlvm::virtio::Machine machine;
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
