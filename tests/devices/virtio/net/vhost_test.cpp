// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "devices/virtio/net/vhost_abi.hpp"
#include "io/error.hpp"
#include "tests/devices/virtio/net/net_fixture.hpp"

namespace cxlvm::virtio::net {
namespace {

constexpr std::uint64_t kRingBits =
    kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx | kFeatureMergeable;
constexpr std::uint64_t kDriverFeatures =
    kRingBits | kFeatureCsum | kFeatureCtrlQueue | kFeatureMultiQueue;

/// A double for the kernel, which remembers what each open descriptor was told.
class FakeVhost final : public VhostCalls {
  public:
    struct Ring {
        std::uint32_t size = 0;
        std::uint32_t base = 99;
        vhost::RingAddresses addresses;
        int kick = -1;
        int call = -1;
        int error = -1;
        int port = -1;
    };
    struct Device {
        bool owned = false;
        std::uint64_t features = 0;
        std::vector<vhost::MemoryRegion> memory;
        std::array<Ring, 2> rings;
    };

    int call(int fd, unsigned long request, void* argument) noexcept override {
        if (request == refused) {
            return refusal;
        }
        Device& device = devices[fd];
        switch (request) {
            case vhost::kGetFeatures:
                std::memcpy(argument, &offered, sizeof(offered));
                return 0;
            case vhost::kSetOwner:
                return std::exchange(device.owned, true) ? EBUSY : 0;
            case vhost::kSetFeatures:
                std::memcpy(&device.features, argument, sizeof(device.features));
                return 0;
            case vhost::kSetMemory:
                return set_memory(device, argument);
            default:
                return set_ring(device, request, argument);
        }
    }

    std::uint64_t offered = kRingBits | feature(27) | kFeatureAccessPlatform;
    unsigned long refused = 0;
    int refusal = EFAULT;
    std::map<int, Device> devices;

  private:
    static int set_memory(Device& device, const void* argument) {
        vhost::MemoryHeader header;
        std::memcpy(&header, argument, sizeof(header));
        device.memory.resize(header.count);
        std::memcpy(device.memory.data(), static_cast<const std::byte*>(argument) + sizeof(header),
                    header.count * sizeof(vhost::MemoryRegion));
        return 0;
    }
    static int set_ring(Device& device, unsigned long request, const void* argument) {
        vhost::RingAddresses addresses;
        vhost::RingNumber number;
        vhost::RingFile file;
        std::memcpy(&number, argument, sizeof(number));
        std::memcpy(&file, argument, sizeof(file));
        Ring& ring = device.rings.at(number.ring);
        // As the kernel: not while frames are moved.
        const bool busy = ring.port != -1;
        switch (request) {
            case vhost::kSetRingSize:
                ring.size = number.number;
                return busy ? EBUSY : 0;
            case vhost::kSetRingBase:
                ring.base = number.number;
                return busy ? EBUSY : 0;
            case vhost::kSetRingAddresses:
                std::memcpy(&addresses, argument, sizeof(addresses));
                ring.addresses = addresses;
                return 0;
            case vhost::kSetRingKick:
                ring.kick = file.fd;
                return 0;
            case vhost::kSetRingCall:
                ring.call = file.fd;
                return 0;
            case vhost::kSetRingError:
                ring.error = file.fd;
                return 0;
            case vhost::kSetPort:
                ring.port = file.fd;
                return 0;
            default:
                ADD_FAILURE() << "an unknown request " << request;
                return ENOTTY;
        }
    }
};

class VhostTest : public test::NetFixture {
  protected:
    void make_vhost(unsigned pairs = 1) {
        NetConfig config;
        for (unsigned i = 0; i < pairs; ++i) {
            opened_.push_back(io::open_file("/dev/null", O_RDWR));
            config.vhost_fds.push_back(opened_.back().get());
        }
        make(pairs, 0, config, kernel_);
        ASSERT_EQ(kernel_.devices.size(), pairs);
        for (const auto& [fd, device] : kernel_.devices) {
            EXPECT_TRUE(device.owned);
        }
    }
    /// The descriptors are copies, opened in the order of the pairs.
    FakeVhost::Device& device(std::size_t pair = 0) {
        return std::next(kernel_.devices.begin(), static_cast<std::ptrdiff_t>(pair))->second;
    }
    FakeVhost::Ring& ring(std::size_t queue) { return device(queue / 2).rings[queue % 2]; }
    std::uint64_t host_address(Gpa address) const {
        return reinterpret_cast<std::uintptr_t>(memory_.span(address, 1)->data());
    }
    /// The tap's end of a pair.
    int device_port(std::size_t pair) const { return backend_->ports()[pair]->fd(); }
    /// The driver's command, and what the device says to it.
    int set_pairs(unsigned pairs) {
        const std::size_t control = 2 * backend_->ports().size();
        write(0x20'0000, {4, 0, static_cast<char>(pairs), 0});
        drivers_[control].describe(0, {0x20'0000, 4, kDescriptorNext, 1});
        drivers_[control].describe(1, {0x20'1000, 1, kDescriptorWrite, 0});
        drivers_[control].make_available(0);
        kick(control);
        EXPECT_EQ(used(control).size(), 1U);
        return drivers_[control].load<std::uint8_t>(0x20'1000);
    }
    static std::uint64_t count_of(int eventfd) {
        eventfd_t count = 0;
        return ::eventfd_read(eventfd, &count) == 0 ? count : 0;
    }
    std::string opening(const std::function<void()>& change) {
        change();
        try {
            opened_.push_back(io::open_file("/dev/null", O_RDWR));
            make(1, 0, {.vhost_fds = {opened_.back().get()}}, kernel_);
            return "nothing was refused";
        } catch (const io::Error& error) {
            return error.what();
        }
    }

    std::vector<io::Fd> opened_;
    FakeVhost kernel_;
};

TEST_F(VhostTest, TheKernelLearnsWhatThereIsToServe) {
    make_vhost();
    activate(kDriverFeatures & ~kFeatureMultiQueue & ~kFeatureEventIdx);
    EXPECT_EQ(device().features, kRingBits & ~kFeatureEventIdx) << "what is the ring's business";
    ASSERT_EQ(device().memory.size(), memory_.blocks().size());
    for (std::size_t i = 0; i < device().memory.size(); ++i) {
        const GuestMemory::Block& block = memory_.blocks()[i];
        EXPECT_EQ(device().memory[i].guest, block.range.base().value());
        EXPECT_EQ(device().memory[i].bytes, block.host.size());
        EXPECT_EQ(device().memory[i].host, reinterpret_cast<std::uintptr_t>(block.host.data()));
    }
    for (std::size_t queue = 0; queue < 2; ++queue) {
        const QueueSetup setup = drivers_[queue].setup();
        EXPECT_EQ(ring(queue).size, kRing);
        EXPECT_EQ(ring(queue).base, 0U);
        EXPECT_EQ(ring(queue).addresses.descriptors, host_address(setup.descriptors));
        EXPECT_EQ(ring(queue).addresses.available, host_address(setup.driver));
        EXPECT_EQ(ring(queue).addresses.used, host_address(setup.device));
        EXPECT_EQ(ring(queue).port, device_port(0));
    }
    EXPECT_EQ(host_.failures, 0);
}

TEST_F(VhostTest, NotificationsGoByTheHostWhereItHasAWay) {
    const io::EventFd kick("test");
    const io::EventFd call("test");
    host_.kicks = kick.fd();
    host_.shared = call.fd();
    make_vhost();
    activate(kRingBits);
    EXPECT_EQ(host_.handed_over, (std::set<std::uint16_t>{0, 1}));
    for (std::size_t queue = 0; queue < 2; ++queue) {
        EXPECT_EQ(ring(queue).kick, kick.fd());
        EXPECT_EQ(ring(queue).call, call.fd());
    }
    EXPECT_EQ(count_of(kick.fd()), 2U) << "one for each, for chains that came before";
    device_->queue_notified(1);
    EXPECT_EQ(count_of(kick.fd()), 1U) << "what came another way";
    reset();
    EXPECT_EQ(host_.handed_over, std::set<std::uint16_t>{});
    device_->queue_notified(1);
    EXPECT_EQ(count_of(kick.fd()), 0U);
}

TEST_F(VhostTest, NotificationsGoByUsWhereTheHostHasNoWay) {
    make_vhost();
    activate(kRingBits);
    (void)count_of(ring(1).kick);
    device_->queue_notified(1);
    EXPECT_EQ(count_of(ring(1).kick), 1U);
    for (int i = 1; i <= 3; ++i) {
        ASSERT_EQ(::eventfd_write(ring(0).call, 1), 0);
        io::test::serve_until(loop_, [&] { return host_.notified[0] == i; });
    }
    settle();
    EXPECT_EQ(host_.notified[0], 3);
    EXPECT_EQ(host_.notified[1], 0);
}

TEST_F(VhostTest, FollowsTheWayOfInterruptsAndLosesNone) {
    make_vhost();
    activate(kRingBits);
    const io::EventFd call("test");
    host_.shared = call.fd();
    device_->interrupts_changed();
    settle();
    EXPECT_EQ(ring(0).call, call.fd());
    EXPECT_EQ(ring(1).call, call.fd());
    EXPECT_EQ(host_.notified[0], 1);
    EXPECT_EQ(host_.notified[1], 1);
    host_.shared = -1;
    device_->interrupts_changed();
    settle();
    EXPECT_NE(ring(0).call, call.fd());
    EXPECT_EQ(host_.notified[0], 2);
    reset();
    device_->interrupts_changed();
    settle();
    EXPECT_EQ(ring(0).call, -1);
    EXPECT_EQ(host_.notified[0], 2);
}

TEST_F(VhostTest, AResetLeavesNothingWithTheKernel) {
    make_vhost(2);
    activate(kDriverFeatures);
    reset();
    for (std::size_t queue = 0; queue < 4; ++queue) {
        EXPECT_EQ(ring(queue).port, -1);
        EXPECT_EQ(ring(queue).kick, -1);
        EXPECT_EQ(ring(queue).call, -1);
        EXPECT_EQ(ring(queue).error, -1);
        ring(queue).base = 99;
    }
    activate(kRingBits);
    EXPECT_EQ(ring(0).base, 0U);
    EXPECT_EQ(ring(0).port, device_port(0));
    EXPECT_EQ(ring(2).base, 99U) << "without several pairs there is one";
    EXPECT_EQ(host_.failures, 0);
}

TEST_F(VhostTest, ServesThePairsInUse) {
    make_vhost(2);
    activate(kDriverFeatures);
    EXPECT_EQ(ring(0).port, device_port(0));
    EXPECT_EQ(ring(2).port, -1);
    EXPECT_EQ(set_pairs(2), 0);
    EXPECT_EQ(ring(2).port, device_port(1));
    EXPECT_EQ(ring(3).port, device_port(1));
    EXPECT_EQ(set_pairs(1), 0);
    EXPECT_EQ(ring(0).port, device_port(0));
    EXPECT_EQ(ring(2).port, -1);
}

TEST_F(VhostTest, ALinkThatIsDownCarriesNothing) {
    make_vhost();
    device_->set_link(false);
    activate(kRingBits);
    EXPECT_EQ(ring(0).port, -1);
    device_->set_link(true);
    settle();
    EXPECT_EQ(ring(0).port, device_port(0));
    EXPECT_EQ(ring(1).port, device_port(0));
    device_->set_link(false);
    settle();
    EXPECT_EQ(ring(1).port, -1);
}

TEST_F(VhostTest, ATapThatIsRemovedIsNoticed) {
    make_vhost();
    activate(kRingBits);
    backend_->networks[0].network.reset();
    io::test::serve_until(loop_, [&] { return !host_.link.empty(); });
    EXPECT_EQ(host_.link, std::vector<bool>{false});
    EXPECT_EQ(ring(0).port, -1);
}

TEST_F(VhostTest, WhatTheKernelCannotServeNeedsAReset) {
    make_vhost();
    activate(kRingBits);
    ASSERT_EQ(::eventfd_write(ring(1).error, 1), 0);
    io::test::serve_until(loop_, [&] { return host_.failures != 0; });
    EXPECT_EQ(host_.failure, "the kernel can make no sense of a queue");
    for (const unsigned long request :
         {vhost::kSetFeatures, vhost::kSetMemory, vhost::kSetRingSize, vhost::kSetRingBase,
          vhost::kSetRingAddresses, vhost::kSetRingKick, vhost::kSetRingCall, vhost::kSetRingError,
          vhost::kSetPort}) {
        reset();
        host_.failures = 0;
        kernel_.refused = request;
        activate(kRingBits);
        EXPECT_GE(host_.failures, 1) << std::hex << request;
        EXPECT_EQ(host_.failure, "the kernel does not serve its queues (vhost)");
        kernel_.refused = 0;
    }
    reset();
    host_.failures = 0;
    activate(kRingBits);
    EXPECT_EQ(host_.failures, 0);
}

TEST_F(VhostTest, WhatCannotBeOpenedIsNamedWithItsRemedy) {
    const auto refuses = [this](unsigned long request, int error) {
        return [this, request, error] {
            kernel_.refused = request;
            kernel_.refusal = error;
        };
    };
    EXPECT_THAT(opening(refuses(vhost::kGetFeatures, ENOTTY)),
                testing::HasSubstr("not what opening /dev/vhost-net gives"));
    EXPECT_THAT(opening(refuses(vhost::kSetOwner, EBUSY)),
                testing::HasSubstr("it has an owner already"));
    EXPECT_THAT(opening([this] {
                    kernel_.refused = 0;
                    kernel_.offered &= ~kFeatureMergeable;
                }),
                testing::HasSubstr("vhost-net is too old; leave vhost out"));
    EXPECT_THAT(opening([] {}), testing::HasSubstr("--net: vhost-fd="));
}

}  // namespace
}  // namespace cxlvm::virtio::net
