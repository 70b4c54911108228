// SPDX-License-Identifier: Apache-2.0
// Drives the entropy, console and balloon devices through queues whose every byte the input may
// change, with resets and the host's doings at any moment, and checks what must hold whatever a
// driver does. The input: which device and how it is set up, then operations.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/character.hpp"
#include "devices/virtio/balloon/balloon_device.hpp"
#include "devices/virtio/console/console_device.hpp"
#include "devices/virtio/entropy/entropy_device.hpp"
#include "io/error.hpp"
#include "io/event_loop.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/fuzzed_rings.hpp"
#include "tests/fuzz/script.hpp"

namespace cxlvm::virtio {
namespace {

io::EventLoop& loop() {
    static io::EventLoop loop({.entries = 16, .name = "fuzz"});
    return loop;
}

using test::fuzzed_memory;
using test::FuzzedRings;
using test::Script;

class FakeHost final : public DeviceHost {
  public:
    void notify_queue(std::uint16_t queue) noexcept override {
        io::check(queue < queues, "a queue that is not there is announced");
        io::check(active, "a queue is announced after the reset");
    }
    void update_config(std::size_t offset, std::span<const std::byte> data) noexcept override {
        io::check(offset + data.size() <= config_size, "the configuration space is left");
    }
    void fail(const char* why) noexcept override {
        io::check(why != nullptr, "a failure needs a reason");
    }
    void reset_done() noexcept override {
        io::check(active, "a reset ends twice");
        active = false;
    }

    std::size_t queues = 0;
    std::size_t config_size = 0;
    bool active = false;
};

/// Takes what there is room for.
class FakeEnd final : public CharacterHost {
  public:
    std::size_t write(std::span<const std::byte> data) noexcept override {
        const std::size_t taken = std::min(data.size(), room);
        for (const std::byte value : data.first(taken)) {
            sum += static_cast<unsigned>(value);
        }
        room -= taken;
        return taken;
    }
    void input_ready() noexcept override {}

    std::size_t room = 100;
    unsigned sum = 0;  ///< so that every byte is read
};

class Machine {
  public:
    explicit Machine(Script& script) : kind_(script.next()) {
        for (const GuestMemory::Block& block : fuzzed_memory().blocks()) {
            std::ranges::fill(block.host, std::byte{0});
        }
        make();
        host_.queues = device_->queues().size();
        host_.config_size = device_->initial_config().size();
        device_->attach(host_);
        rings_.emplace(device_->queues());
        activate(script.next());
    }

    void step(Script& script) {
        const std::uint8_t op = script.next();
        switch (op % 8U) {
            case 0:
                FuzzedRings::store(script, std::size_t{1} + op / 8U);
                break;
            case 1:
            case 2:
                FuzzedRings::describe(script, op / 8U);
                break;
            case 3:
                FuzzedRings::offer(script, op / 8U);
                break;
            case 4:
                device_->queue_notified(op / 8U);
                break;
            case 5:
                loop().run_ready();
                break;
            case 6:
                act(script, op / 8U);
                break;
            default:
                if (op / 8U >= 30) {
                    reset();
                    activate(script.next());
                } else {
                    device_->queue_notified(op / 8U % FuzzedRings::kMost);
                    loop().run_ready();
                }
                break;
        }
        check();
    }

    void finish() {
        loop().run_ready();
        check();
        reset();
    }

  private:
    void make() {
        switch (kind_ % 4U) {
            case 0:
                device_ = std::make_unique<entropy::EntropyDevice>(
                    entropy::EntropyConfig{kind_ / 4U % 2U == 0 ? "" : "/dev/zero"}, loop(), log_);
                break;
            case 1: {
                std::optional<console::ConsoleSize> size;
                if (kind_ / 4U % 2U != 0) {
                    size.emplace();
                }
                auto device = std::make_unique<console::ConsoleDevice>(end_, size, loop());
                console_ = device.get();
                device_ = std::move(device);
                break;
            }
            default: {
                auto device = std::make_unique<balloon::BalloonDevice>(
                    balloon::BalloonConfig{
                        .target = 0x2000,
                        .reporting = (kind_ & 4U) != 0,
                        .statistics = std::chrono::seconds((kind_ & 8U) != 0 ? 1 : 0)},
                    fuzzed_memory(), loop(), log_);
                balloon_ = device.get();
                device_ = std::move(device);
                break;
            }
        }
    }

    /// Bits of `how` are the queues that the driver enables.
    void activate(std::uint8_t how) {
        rings_->start(how);
        host_.active = true;
        const std::uint64_t features = (how & 0x80U) != 0
                                           ? device_->features() & ~balloon::kFeatureStatistics
                                           : device_->features();
        io::check(device_->activate({.features = features, .queues = rings_->queues()}),
                  "the device does not start");
    }

    void reset() {
        device_->reset();
        while (host_.active) {
            loop().run_ready();
        }
        const std::vector<std::uint16_t> before = rings_->used();
        for (std::uint16_t queue = 0; queue < FuzzedRings::kMost; ++queue) {
            device_->queue_notified(queue);
        }
        loop().run_ready();
        io::check(rings_->used() == before, "a ring is touched after the reset");
    }

    /// What the host does.
    void act(Script& script, std::size_t what) {
        std::array<std::byte, 256> input{};
        if (console_ != nullptr && what % 2U == 0) {
            const auto data = std::span(input).first(script.next());
            io::check(console_->receive(data) <= data.size(), "more input is taken than given");
        } else if (console_ != nullptr) {
            end_.room = script.next16();
            console_->output_ready();
            console_->set_size({.columns = script.next16(), .rows = 1});
        } else if (balloon_ != nullptr && what % 2U == 0) {
            balloon_->set_target(std::uint64_t{script.next16()} << 4U);
            (void)balloon_->statistics();
        } else {
            (void)device_->write_config(script.next() % 8U, std::span(input).first(4));
        }
    }

    void check() {
        for (const SplitQueue& ring : rings_->queues()) {
            io::check(ring.in_flight() <= 1, "more than one chain is held");
        }
    }

    const std::uint8_t kind_;
    io::Log log_{2, io::LogLevel::Off};
    FakeHost host_;
    FakeEnd end_;
    std::optional<FuzzedRings> rings_;
    std::unique_ptr<VirtioDevice> device_;
    console::ConsoleDevice* console_ = nullptr;
    balloon::BalloonDevice* balloon_ = nullptr;
};

}  // namespace
}  // namespace cxlvm::virtio

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::virtio::Script script(std::span(data, size));
    cxlvm::virtio::Machine machine(script);
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
