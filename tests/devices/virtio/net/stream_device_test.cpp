// SPDX-License-Identifier: Apache-2.0
// A device on a stream that takes part of a frame and no more.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/net/stream_port.hpp"
#include "tests/devices/virtio/net/net_fixture.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::no_offloads;
using test::pattern;

constexpr std::size_t kRx = 0;
constexpr std::size_t kTx = 1;
constexpr std::uint64_t kBuffers = 0x20'0000;

class StreamBackend final : public Backend {
  public:
    explicit StreamBackend(io::Fd socket) {
        ports_.push_back(std::make_unique<StreamPort>(std::move(socket)));
    }
    [[nodiscard]] const char* name() const noexcept override { return "stream"; }
    [[nodiscard]] std::span<const std::unique_ptr<Port>> ports() const noexcept override {
        return ports_;
    }

  private:
    std::vector<std::unique_ptr<Port>> ports_;
};

/// Its first frame is longer than what the stream has room for.
class StreamDeviceTest : public test::NetFixture {
  protected:
    void SetUp() override {
        constexpr int kRoom = 4096;
        ASSERT_EQ(::setsockopt(pair_.device.get(), SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof(kRoom)),
                  0);
        device_.emplace(NetConfig{},
                        std::make_unique<StreamBackend>(std::exchange(pair_.device, io::Fd())),
                        loop_, log_);
        device_->attach(host_);
        for (const QueueLimits& limits : device_->queues()) {
            rings_.emplace_back(memory_, limits);
        }
        activate(kFeatureMergeable);
        offer(kRx, 0, kBuffers + 0x4'0000, 0x1'1000, true);
        kick(kRx);
        send(0, long_);
        ASSERT_TRUE(used(kTx).empty()) << "there is room for all of it";
    }
    void send(std::uint16_t head, const std::string& frame) {
        const std::uint64_t address = kBuffers + 0x1'8000ULL * head;
        write(address, no_offloads() + frame);
        offer(kTx, head, address, static_cast<std::uint32_t>(12 + frame.size()), false);
        kick(kTx);
    }
    /// Everything that comes out of the stream.
    std::string drain() {
        std::string all;
        for (int empty = 0; empty < 4; ++empty) {
            while (const auto part = pair_.get()) {
                all += *part;
                empty = 0;
            }
            settle();
        }
        return all;
    }
    static std::string with_length(const std::string& frame) {
        const std::size_t size = frame.size();
        return std::string{0, 0, static_cast<char>(size >> 8), static_cast<char>(size)} + frame;
    }

    test::FramePair pair_{SOCK_STREAM};
    const std::string long_ = pattern(60'000);
};

TEST_F(StreamDeviceTest, StaysInStepWhenTheCableIsPulledInTheMiddleOfAFrame) {
    device_->set_link(false);
    settle();
    EXPECT_EQ(used(kTx).size(), 1U) << "given back";
    device_->set_link(true);
    settle();
    send(1, pattern(60, 2));
    EXPECT_EQ(drain(), with_length(long_) + with_length(pattern(60, 2)));
    EXPECT_EQ(used(kTx).size(), 1U);
}

TEST_F(StreamDeviceTest, GivesFramesBackWhenTheOtherEndMakesNoSense) {
    pair_.put("\xff\xff\xff\xff");
    settle();
    EXPECT_EQ(host_.link, std::vector<bool>({false}));
    EXPECT_EQ(used(kTx).size(), 1U);
    send(1, pattern(60, 2));
    EXPECT_EQ(used(kTx).size(), 1U);
}

}  // namespace
}  // namespace cxlvm::virtio::net
