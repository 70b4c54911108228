// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/tap.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "io/error.hpp"
#include "tests/devices/virtio/net/net_fixture.hpp"
#include "tests/support/pipe.hpp"

namespace cxlvm::virtio::net {
namespace {

using test::no_offloads;
using test::pattern;

constexpr std::uint16_t kProtocol = 0x88b5;  // IEEE 802: for local experiments

/// Runs `body` where taps may be made: on a thread with a network of its own, so that none of the
/// host's is touched. Taps need rights and a driver that not every machine gives.
template <typename Body>
void in_a_network_of_its_own(Body body) {
    std::string why_not;
    std::thread thread([&] {
        if (::unshare(CLONE_NEWNET) != 0) {
            why_not = "no right to make a network namespace";
        } else if (::access("/dev/net/tun", R_OK | W_OK) != 0) {
            why_not = "/dev/net/tun is missing or not ours";
        } else {
            body();
        }
    });
    thread.join();
    if (!why_not.empty()) {
        GTEST_SKIP() << why_not;
    }
}

/// The network's side of an interface.
class PacketSocket {
  public:
    explicit PacketSocket(const char* interface)
        : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                           static_cast<int>(__builtin_bswap16(kProtocol)))) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = __builtin_bswap16(kProtocol);
        address.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
            << strerror(errno);
    }
    void put(const std::string& frame) const {
        EXPECT_EQ(::send(socket_.get(), frame.data(), frame.size(), 0),
                  static_cast<ssize_t>(frame.size()))
            << strerror(errno);
    }
    [[nodiscard]] std::string get() const {
        std::string frame(70000, '?');
        const ssize_t count = ::recv(socket_.get(), frame.data(), frame.size(), 0);
        frame.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return frame;
    }

  private:
    io::Fd socket_;
};

/// A broadcast of our protocol.
std::string frame_of(std::size_t size) {
    std::string frame = std::string(6, '\xff') + std::string("\2\0\0\0\0\1", 6) + "\x88\xb5";
    return frame + pattern(size);
}

int send(Port& port, const std::string& bytes) {
    const iovec segment{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    return port.send(std::span(&segment, 1));
}

/// What the port gives; our frames alone, since the host's network talks by itself.
std::string receive_ours(Port& port) {
    while (true) {
        std::string room(Port::kMinRoom, '?');
        const iovec segment{.iov_base = room.data(), .iov_len = room.size()};
        const std::int64_t result = port.receive(std::span(&segment, 1));
        if (result < 0) {
            return {};
        }
        room.resize(static_cast<std::size_t>(result));
        if (room.size() > 26 && room.compare(24, 2, "\x88\xb5") == 0) {
            return room.substr(12);
        }
    }
}

std::string refusal(const std::function<void()>& what) {
    try {
        what();
        return "nothing was refused";
    } catch (const io::Error& error) {
        return error.what();
    }
}

TEST(TapTest, CarriesFramesBothWays) {
    in_a_network_of_its_own([] {
        const Tap tap("cxlvmtest", 1, 0);
        EXPECT_STREQ(tap.name(), "tap cxlvmtest");
        EXPECT_EQ(tap.mtu(), 1500);
        EXPECT_EQ(tap.offloads() & (kFeatureCsum | kFeatureGuestTso4 | kFeatureHostTso6),
                  kFeatureCsum | kFeatureGuestTso4 | kFeatureHostTso6);
        const PacketSocket network("cxlvmtest");
        Port& port = *tap.ports()[0];
        EXPECT_EQ(send(port, no_offloads() + frame_of(100)), 0);
        EXPECT_EQ(network.get(), frame_of(100));
        network.put(frame_of(200));
        EXPECT_EQ(receive_ours(port), frame_of(200));
        EXPECT_EQ(receive_ours(port), "") << "it does not wait";
    });
}

TEST(TapTest, AHeaderThatMakesNoSenseLosesItsFrameAlone) {
    in_a_network_of_its_own([] {
        const Tap tap("cxlvmtest", 1, 0);
        const PacketSocket network("cxlvmtest");
        Port& port = *tap.ports()[0];
        Header header{};
        header.flags = 1;  // checksum wanted, at a place behind the frame
        header.csum_start = 60000;
        EXPECT_EQ(send(port, std::string(reinterpret_cast<const char*>(&header), sizeof(header)) +
                                 frame_of(100)),
                  0);
        EXPECT_EQ(network.get(), "");
        EXPECT_EQ(send(port, no_offloads() + frame_of(101)), 0);
        EXPECT_EQ(network.get(), frame_of(101));
    });
}

TEST(TapTest, ItsMtuIsThatOfTheInterface) {
    in_a_network_of_its_own([] {
        const Tap tap("cxlvmtest", 1, 9000);
        EXPECT_EQ(tap.mtu(), 9000);
        const PacketSocket network("cxlvmtest");
        network.put(frame_of(8986));
        EXPECT_EQ(receive_ours(*tap.ports()[0]), frame_of(8986));
    });
}

TEST(TapTest, OffloadsAreThoseOfTheKernel) {
    in_a_network_of_its_own([] {
        Tap tap("cxlvmtest", 1, 0);
        EXPECT_TRUE(tap.set_guest_offloads(tap.offloads() & kGuestOffloads));
        EXPECT_TRUE(tap.set_guest_offloads(0));
        EXPECT_FALSE(tap.set_guest_offloads(kFeatureGuestTso4)) << "not without checksums";
    });
}

TEST(TapTest, FramesComeToTheQueuesThatAreInUse) {
    in_a_network_of_its_own([] {
        Tap tap("cxlvmtest", 3, 0);
        ASSERT_EQ(tap.ports().size(), 3U);
        const PacketSocket network("cxlvmtest");
        // Those in use; what the kernel gives to any other is lost.
        for (const unsigned used : {1U, 3U, 2U, 1U}) {
            ASSERT_TRUE(tap.set_pairs(used));
            for (std::size_t n = 0; n < 64; ++n) {
                network.put(frame_of(100 + n));
            }
            std::size_t received = 0;
            for (unsigned i = 0; i < used; ++i) {
                while (!receive_ours(*tap.ports()[i]).empty()) {
                    ++received;
                }
            }
            EXPECT_EQ(received, 64U) << used;
        }
    });
}

/// A descriptor for one queue of several.
io::Fd open_queue() {
    io::Fd fd = io::open_file("/dev/net/tun", O_RDWR | O_NONBLOCK);
    ifreq request{};
    std::strcpy(request.ifr_name, "cxlvmtest");
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;
    EXPECT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0) << strerror(errno);
    return fd;
}
/// Whether the kernel did it: it refuses what is done already.
bool change_queue(const io::Fd& fd, int what) {
    ifreq request{};
    request.ifr_flags = static_cast<short>(what);
    return ::ioctl(fd.get(), TUNSETQUEUE, &request) == 0;
}

TEST(TapTest, AChangeOfItsQueuesThatFailsHalfwayIsTakenBack) {
    in_a_network_of_its_own([] {
        std::vector<io::Fd> queues;
        std::vector<int> numbers;
        for (int i = 0; i < 4; ++i) {
            queues.push_back(open_queue());
            numbers.push_back(queues.back().get());
        }
        Tap tap(numbers);
        ASSERT_TRUE(tap.set_pairs(1));
        // Behind its back, so that the kernel refuses to attach the third queue once more.
        ASSERT_TRUE(change_queue(queues[2], IFF_ATTACH_QUEUE));
        EXPECT_FALSE(tap.set_pairs(4));
        EXPECT_FALSE(change_queue(queues[1], IFF_DETACH_QUEUE)) << "detached, as it was";
        EXPECT_FALSE(change_queue(queues[3], IFF_DETACH_QUEUE));
        ASSERT_TRUE(change_queue(queues[2], IFF_DETACH_QUEUE));
        EXPECT_TRUE(tap.set_pairs(4));

        // And on the way down.
        ASSERT_TRUE(change_queue(queues[2], IFF_DETACH_QUEUE));
        EXPECT_FALSE(tap.set_pairs(1));
        EXPECT_FALSE(change_queue(queues[3], IFF_ATTACH_QUEUE)) << "attached, as it was";
        EXPECT_FALSE(change_queue(queues[1], IFF_ATTACH_QUEUE));
        ASSERT_TRUE(change_queue(queues[2], IFF_ATTACH_QUEUE));
        EXPECT_TRUE(tap.set_pairs(1));
    });
}

TEST(TapTest, AnInterfaceThatIsRemovedIsTheEnd) {
    in_a_network_of_its_own([] {
        const Tap tap("cxlvmtest", 1, 0);
        ASSERT_EQ(std::system("ip link delete cxlvmtest"), 0);
        EXPECT_EQ(send(*tap.ports()[0], no_offloads() + frame_of(100)), EBADFD);
        std::string room(Port::kMinRoom, '?');
        const iovec segment{.iov_base = room.data(), .iov_len = room.size()};
        EXPECT_EQ(tap.ports()[0]->receive(std::span(&segment, 1)), -EBADFD);
    });
}

TEST(TapTest, WhatCannotBeUsedIsNamedWithItsRemedy) {
    in_a_network_of_its_own([] {
        const Tap tap("cxlvmtest", 1, 0);
        EXPECT_THAT(refusal([] { Tap("cxlvmtest", 1, 0); }),
                    testing::HasSubstr("tap=cxlvmtest: another program uses it"));
        EXPECT_THAT(refusal([] { Tap("lo", 1, 0); }), testing::HasSubstr("tap=lo: it is no tap"));
        EXPECT_THAT(refusal([] { Tap("cxlvmtest2", 1, 1); }),
                    testing::HasSubstr("ip link set cxlvmtest2 mtu 1"));
    });
}

TEST(TapTest, AnInterfaceOfOneQueueIsNotUsedWithSeveralAndTheReverseWorks) {
    in_a_network_of_its_own([] {
        ASSERT_EQ(
            std::system("ip tuntap add dev single mode tap && ip tuntap add dev several mode tap "
                        "multi_queue"),
            0);
        EXPECT_THAT(refusal([] { Tap("single", 2, 0); }),
                    testing::HasSubstr("ip tuntap add dev single mode tap multi_queue"));
        EXPECT_EQ(Tap("several", 1, 0).ports().size(), 1U);
    });
}

TEST(TapTest, DescriptorsOfSomebodyElsesAreUsed) {
    in_a_network_of_its_own([] {
        const io::Fd fd = io::open_file("/dev/net/tun", O_RDWR);
        ifreq request{};
        std::strcpy(request.ifr_name, "cxlvmtest");
        request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        ASSERT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0);
        ASSERT_EQ(std::system("ip link set cxlvmtest up mtu 4000"), 0);
        const Tap tap(std::vector<int>{fd.get()});
        EXPECT_EQ(tap.mtu(), 4000);
        const PacketSocket network("cxlvmtest");
        EXPECT_EQ(send(*tap.ports()[0], no_offloads() + frame_of(100)), 0);
        EXPECT_EQ(network.get(), frame_of(100));
        EXPECT_THAT(refusal([&] {
                        Tap(std::vector<int>{fd.get(), fd.get()});
                    }),
                    testing::HasSubstr("without IFF_MULTI_QUEUE"));
    });
}

TEST(TapTest, ADescriptorThatIsNoTapIsRefused) {
    const test::Pipe pipe;
    const int number = pipe.reader.get();
    EXPECT_THAT(refusal([&] { Tap(std::vector<int>{number}); }),
                testing::HasSubstr("--net: fd=" + std::to_string(number) + ": no tap"));
    EXPECT_THAT(refusal([] { Tap(std::vector<int>{999999}); }),
                testing::HasSubstr("--net: fd=999999: no such descriptor is open"));
}

TEST(TapTest, ADescriptorWithoutHeadersIsRefused) {
    in_a_network_of_its_own([] {
        const io::Fd fd = io::open_file("/dev/net/tun", O_RDWR);
        ifreq request{};
        request.ifr_flags = IFF_TAP | IFF_NO_PI;
        ASSERT_EQ(::ioctl(fd.get(), TUNSETIFF, &request), 0);
        EXPECT_THAT(refusal([&] { Tap(std::vector<int>{fd.get()}); }),
                    testing::HasSubstr("IFF_VNET_HDR"));
    });
}

TEST(TapPort, LosesAFrameWhoseBufferCannotBeHad) {
    test::FramePair pair;
    TapPort port(std::exchange(pair.device, io::Fd()));
    pair.put(no_offloads() + pattern(60));
    const iovec nowhere{.iov_base = nullptr, .iov_len = Port::kMinRoom};
    EXPECT_EQ(port.receive(std::span(&nowhere, 1)), -EAGAIN);
}

}  // namespace
}  // namespace cxlvm::virtio::net
