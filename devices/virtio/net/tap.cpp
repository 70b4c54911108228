// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/tap.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devices/virtio/net/spec.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

// In <linux/if_tun.h> from Linux 6.2 on.
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;

struct Offload {
    std::uint64_t feature;
    unsigned tun;
};
constexpr Offload kOffloads[] = {
    {kFeatureGuestCsum, TUN_F_CSUM}, {kFeatureGuestTso4, TUN_F_TSO4},
    {kFeatureGuestTso6, TUN_F_TSO6}, {kFeatureGuestEcn, TUN_F_TSO_ECN},
    {kFeatureGuestUfo, TUN_F_UFO},   {kFeatureGuestUso4, kTunUso4},
    {kFeatureGuestUso6, kTunUso6},
};
constexpr std::uint64_t kGuestUso = kFeatureGuestUso4 | kFeatureGuestUso6;
/// What the kernel takes from every tap since it knows of the Header.
constexpr std::uint64_t kHostOffloads =
    kFeatureCsum | kFeatureHostTso4 | kFeatureHostTso6 | kFeatureHostEcn | kFeatureHostUfo;

unsigned tun_offloads(std::uint64_t features) noexcept {
    unsigned flags = 0;
    for (const Offload& offload : kOffloads) {
        flags |= (features & offload.feature) != 0 ? offload.tun : 0;
    }
    // The kernel knows the two only together.
    return (features & kGuestUso) != 0 ? flags | kTunUso4 | kTunUso6 : flags;
}

bool set_offloads(int fd, std::uint64_t features) noexcept {
    return ::ioctl(fd, TUNSETOFFLOAD, std::uintptr_t{tun_offloads(features)}) == 0;
}

ifreq request_for(const std::string& interface) {
    ifreq request{};
    // Shorter than the field: check() saw to it.
    std::memcpy(request.ifr_name, interface.data(),
                std::min(interface.size(), sizeof(request.ifr_name) - 1));
    return request;
}

/// A socket for requests about interfaces.
io::Fd interface_socket() {
    io::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        io::throw_errno("--net: socket");
    }
    return socket;
}

std::string owner_remedy(const std::string& interface, unsigned queues) {
    return fmt::format(
        "let root make it for you, \"ip tuntap add dev {} mode tap user $USER{}\" and \"ip link "
        "set {} "
        "up\"; or give fd=N, or passt, which needs no rights",
        interface, queues > 1 ? " multi_queue" : "", interface);
}

[[noreturn]] void throw_attach_error(int error, const std::string& interface, unsigned queues) {
    const std::string what = fmt::format("--net: tap={}", interface);
    switch (error) {
        case EPERM:
            io::throw_error(error, fmt::format("{}: not yours to use; {}", what,
                                               owner_remedy(interface, queues)));
        case EBUSY:
            io::throw_error(error,
                            what + ": another program uses it; end that one, or give another tap",
                            io::Fault::Input);
        case EINVAL:
            io::throw_error(
                error,
                fmt::format("{}: it is no tap{}; give another name, or remove it and let root make "
                            "it: \"ip tuntap add dev {} mode tap{}\"",
                            what, queues > 1 ? ", or was made for one queue alone" : "", interface,
                            queues > 1 ? " multi_queue" : ""),
                io::Fault::Input);
        default:
            io::throw_error(error, what + ": TUNSETIFF");
    }
}

io::Fd open_tun(const std::string& interface) {
    io::Fd fd(
        io::retry_eintr([] { return ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC); }));
    if (fd) {
        return fd;
    }
    const std::string what = fmt::format("--net: tap={}: /dev/net/tun", interface);
    switch (errno) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            io::throw_errno(what + ": modprobe tun loads its driver");
        case EACCES:
        case EPERM:
            io::throw_errno(what +
                            ": chmod 666 /dev/net/tun lets everybody use the taps that are "
                            "theirs; or give fd=N, or passt");
        default:
            io::throw_errno(what);
    }
}

/// A descriptor for one queue of the interface.
io::Fd attach(const std::string& interface, unsigned queues) {
    io::Fd fd = open_tun(interface);
    ifreq request = request_for(interface);
    const auto set = [&](bool several) {
        request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR |
                                               (several ? IFF_MULTI_QUEUE : 0));
        return ::ioctl(fd.get(), TUNSETIFF, &request) == 0;
    };
    // One that was made for several queues works with one, too, when that is said.
    if (!set(queues > 1) && (errno != EINVAL || queues > 1 || !set(true))) {
        throw_attach_error(errno, interface, queues);
    }
    return fd;
}

void set_up(const std::string& interface, const io::Fd& socket) {
    ifreq request = request_for(interface);
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0) {
            return;
        }
    }
    io::throw_errno(fmt::format("--net: tap={}: cannot be set up", interface));
}

std::uint16_t read_mtu(const std::string& interface, const io::Fd& socket) noexcept {
    ifreq request = request_for(interface);
    // Of an interface elsewhere, in another network namespace, nothing is known.
    if (::ioctl(socket.get(), SIOCGIFMTU, &request) != 0 || request.ifr_mtu < kMinMtu ||
        request.ifr_mtu > kMaxMtu) {
        return 0;
    }
    return static_cast<std::uint16_t>(request.ifr_mtu);
}

void write_mtu(const std::string& interface, const io::Fd& socket, std::uint16_t mtu) {
    if (read_mtu(interface, socket) == mtu) {
        return;
    }
    ifreq request = request_for(interface);
    request.ifr_mtu = mtu;
    if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) {
        io::throw_errno(fmt::format(
            "--net: tap={}: mtu={} cannot be set; let root do it, \"ip link set {} mtu {}\"",
            interface, mtu, interface, mtu));
    }
}

/// What the interface behind a descriptor of somebody else's is.
ifreq describe_descriptor(const io::Fd& fd, const std::string& what) {
    ifreq request{};
    if (::ioctl(fd.get(), TUNGETIFF, &request) != 0) {
        io::throw_input(what +
                        ": no tap; open /dev/net/tun and attach it (TUNSETIFF), or open a "
                        "macvtap's /dev/tapN");
    }
    constexpr int kNeeded = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if ((request.ifr_flags & kNeeded) != kNeeded) {
        io::throw_input(what +
                        ": the interface was not opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR");
    }
    return request;
}

}  // namespace

std::int64_t TapPort::receive(std::span<const iovec> room) noexcept {
    const ssize_t count = io::retry_eintr(
        [&] { return ::readv(fd_.get(), room.data(), static_cast<int>(room.size())); });
    if (count >= 0) {
        return count;
    }
    switch (errno) {
        case EFAULT:  // the host has no memory for a page of the buffer
        case ENOMEM:
        case ENOBUFS:
            return -EAGAIN;  // the frame is lost
        default:
            return -errno;
    }
}

int TapPort::send(std::span<const iovec> frame) noexcept {
    const ssize_t count = io::retry_eintr(
        [&] { return ::writev(fd_.get(), frame.data(), static_cast<int>(frame.size())); });
    if (count >= 0) {
        return 0;
    }
    switch (errno) {
        case EAGAIN:
        case EBADFD:  // the interface was removed
        case EPIPE:
            return errno;
        default:
            return 0;  // a Header that makes no sense, an interface that is down, no memory
    }
}

Tap::Tap(const std::string& name, unsigned queues, std::uint16_t mtu) : interface_(name) {
    const bool is_new = ::if_nametoindex(name.c_str()) == 0;
    for (unsigned i = 0; i < queues; ++i) {
        add(attach(name, queues));
    }
    const io::Fd socket = interface_socket();
    if (mtu != 0) {
        write_mtu(name, socket, mtu);
    }
    if (is_new) {
        set_up(name, socket);
    }
    prepare();
}

Tap::Tap(const std::vector<int>& fds) {
    for (const int number : fds) {
        const std::string text = fmt::format("fd={}", number);
        const std::string what = "--net: " + text;
        io::Fd fd = std::move(*io::open_descriptor(text, what));
        const ifreq request = describe_descriptor(fd, what);
        const std::string interface(request.ifr_name,
                                    ::strnlen(request.ifr_name, sizeof(request.ifr_name)));
        if (fds.size() > 1 && (request.ifr_flags & IFF_MULTI_QUEUE) == 0) {
            io::throw_input(what + ": one of several, and opened without IFF_MULTI_QUEUE");
        }
        if (!interface_.empty() && interface != interface_) {
            io::throw_input(
                fmt::format("{}: it is {}, and the one before it {}; give each its own "
                            "--net",
                            what, interface, interface_));
        }
        interface_ = interface;
        // A queue of a tap has one reader, and that is us: nobody else is troubled by it.
        if (::fcntl(fd.get(), F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
            io::throw_errno(what + ": F_SETFL");
        }
        add(std::move(fd));
    }
    prepare();
}

void Tap::add(io::Fd fd) {
    ports_.push_back(std::make_unique<TapPort>(std::move(fd)));
}

void Tap::prepare() {
    name_ = "tap " + interface_;
    attached_ = static_cast<unsigned>(ports_.size());
    mtu_ = read_mtu(interface_, interface_socket());
    const int fd = ports_.front()->fd();
    int header_size = sizeof(Header);
    if (::ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0) {
        io::throw_errno(fmt::format("--net: {}: TUNSETVNETHDRSZ", name_));
    }
    offloads_ = kHostOffloads | (kGuestOffloads & ~kGuestUso);
    if (set_offloads(fd, offloads_ | kGuestUso)) {
        offloads_ |= kFeatureHostUso | kGuestUso;
    }
    if (!set_offloads(fd, 0)) {
        io::throw_errno(fmt::format("--net: {}: TUNSETOFFLOAD", name_));
    }
}

bool Tap::set_guest_offloads(std::uint64_t features) noexcept {
    if (features == guest_offloads_) {
        return true;
    }
    if (!set_offloads(ports_.front()->fd(), features)) {
        return false;
    }
    guest_offloads_ = features;
    return true;
}

bool Tap::set_pairs(unsigned pairs) noexcept {
    const unsigned before = attached_;
    if (attach_ports(pairs)) {
        return true;
    }
    // The driver goes on with the queues of before. attached_ is right even if that fails, too.
    static_cast<void>(attach_ports(before));
    return false;
}

bool Tap::attach_ports(unsigned count) noexcept {
    while (attached_ != count) {
        const bool more = attached_ < count;
        ifreq request{};
        request.ifr_flags = static_cast<short>(more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE);
        const int fd = ports_[more ? attached_ : attached_ - 1]->fd();
        if (::ioctl(fd, TUNSETQUEUE, &request) != 0) {
            return false;
        }
        attached_ = more ? attached_ + 1 : attached_ - 1;
    }
    return true;
}

}  // namespace cxlvm::virtio::net
