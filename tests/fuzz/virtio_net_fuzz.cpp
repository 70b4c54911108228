// SPDX-License-Identifier: Apache-2.0
// Drives a network device through queues whose every byte the input may change, with a network that
// sends what it likes, in frames or as a stream, and with resets and pulled cables at any moment;
// checks what must hold whatever either does. The input: how it is set up, then operations.
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/net/stream_port.hpp"
#include "devices/virtio/net/tap.hpp"
#include "io/error.hpp"
#include "io/event_loop.hpp"
#include "memory/guest_memory.hpp"
#include "tests/fuzz/fuzzed_rings.hpp"
#include "tests/fuzz/script.hpp"

namespace cxlvm::virtio::net {
namespace {

constexpr std::uint64_t kOffloads =
    kFeatureCsum | kHostSegmentation | kFeatureHostEcn | kGuestOffloads;

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
        io::check(queue < FuzzedRings::kMost && active, "a notification comes out of turn");
    }
    void update_config(std::size_t offset, std::span<const std::byte> data) noexcept override {
        io::check(offset == 6 && data.size() == 2 && data[1] == std::byte{0}, "no link status");
    }
    void fail(const char* why) noexcept override {
        io::check(why != nullptr && active, "a failure needs a reason");
    }
    void reset_done() noexcept override {
        io::check(active, "a reset ends twice");
        active = false;
    }
    bool active = false;
};

/// Sockets in the place of a tap's queues, or of passt.
class Network final : public Backend {
  public:
    Network(unsigned pairs, bool stream) : stream_(stream) {
        for (unsigned i = 0; i < pairs; ++i) {
            int ends[2] = {-1, -1};
            io::check(::socketpair(AF_UNIX, (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK,
                                   0, ends) == 0,
                      "no sockets");
            ends_.emplace_back(ends[1]);
            io::Fd device(ends[0]);
            if (stream) {
                ports_.push_back(std::make_unique<StreamPort>(std::move(device)));
            } else {
                ports_.push_back(std::make_unique<TapPort>(std::move(device)));
            }
        }
    }
    [[nodiscard]] const char* name() const noexcept override { return "fuzz"; }
    [[nodiscard]] std::uint64_t offloads() const noexcept override {
        return stream_ ? 0 : kOffloads;
    }
    [[nodiscard]] std::span<const std::unique_ptr<Port>> ports() const noexcept override {
        return ports_;
    }
    [[nodiscard]] bool set_guest_offloads(std::uint64_t features) noexcept override {
        io::check((features & ~kGuestOffloads) == 0, "an offload that is none");
        return (features & kGuestUso) != kFeatureGuestUso4;
    }
    [[nodiscard]] bool set_pairs(unsigned pairs) noexcept override {
        io::check(pairs >= 1 && pairs <= ports_.size(), "pairs that there are not");
        return true;
    }

    void send(Script& script, std::size_t pair) {
        std::array<std::uint8_t, 2048> bytes{};
        const std::size_t size = script.next16() % bytes.size();
        for (std::size_t i = 0; i < std::min<std::size_t>(size, 24); ++i) {
            bytes[i] = script.next();
        }
        (void)::send(ends_[pair % ends_.size()].get(), bytes.data(), size, MSG_NOSIGNAL);
    }
    void take(std::size_t pair) {
        std::array<std::uint8_t, 70000> bytes;
        const ssize_t count =
            ::recv(ends_[pair % ends_.size()].get(), bytes.data(), bytes.size(), 0);
        if (count > 0 && !stream_) {
            const auto size = static_cast<std::size_t>(count);
            io::check(
                size >= sizeof(Header) + kEthernetHeader && size <= sizeof(Header) + kMaxFrame,
                "what is sent is no frame");
        }
    }
    void leave(std::size_t pair) { ends_[pair % ends_.size()].reset(); }

  private:
    static constexpr std::uint64_t kGuestUso = kFeatureGuestUso4 | kFeatureGuestUso6;
    const bool stream_;
    std::vector<io::Fd> ends_;
    std::vector<std::unique_ptr<Port>> ports_;
};

class Machine {
  public:
    explicit Machine(Script& script) {
        for (const GuestMemory::Block& block : fuzzed_memory().blocks()) {
            std::ranges::fill(block.host, std::byte{0});
        }
        const std::uint8_t kind = script.next();
        const bool stream = (kind & 1U) != 0;
        auto network = std::make_unique<Network>(stream ? 1 : 1 + kind / 2U % 2U, stream);
        network_ = network.get();
        device_.emplace(NetConfig{.mac = MacAddress{{2, 0, 0, 0, 0, 1}}}, std::move(network),
                        loop(), log_);
        device_->attach(host_);
        rings_.emplace(device_->queues());
        activate(script);
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
                network_->send(script, op / 8U);
                break;
            case 5:
                loop().run_ready();
                break;
            case 6:
                upset(script, op / 8U);
                break;
            default:
                device_->queue_notified(op / 8U % FuzzedRings::kMost);
                loop().run_ready();
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
    void activate(Script& script) {
        const std::uint8_t how = script.next();
        rings_->start(how);
        std::uint64_t features = device_->features();
        if ((how & 0x80U) != 0) {
            features &= script.next16() | std::uint64_t{script.next16()} << 16U;
        }
        if (!device_->accepts(features)) {
            features = 0;
        }
        host_.active = true;
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

    void upset(Script& script, std::size_t what) {
        switch (what % 8U) {
            case 0:
                reset();
                activate(script);
                break;
            case 1:
                device_->set_link(what / 8U % 2U != 0);
                break;
            case 2:
                if (what == 26) {
                    network_->leave(script.next());
                }
                break;
            default:
                network_->take(what);
                break;
        }
    }

    void check() {
        for (const SplitQueue& ring : rings_->queues()) {
            io::check(ring.in_flight() <= ring.size(), "more is in flight than there is");
        }
    }

    io::Log log_{2, io::LogLevel::Off};
    FakeHost host_;
    std::optional<FuzzedRings> rings_;
    Network* network_ = nullptr;
    std::optional<NetDevice> device_;
};

}  // namespace
}  // namespace cxlvm::virtio::net

// The name is libFuzzer's.
// NOLINTNEXTLINE(readability-identifier-naming)
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    cxlvm::test::Script script(std::span(data, size));
    cxlvm::virtio::net::Machine machine(script);
    while (!script.done()) {
        machine.step(script);
    }
    machine.finish();
    return 0;
}
