// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/vhost_device.hpp"

#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <type_traits>

#include "devices/virtio/net/spec.hpp"
#include "devices/virtio/net/vhost_abi.hpp"
#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio::net {

namespace {

/// Guest memory has two blocks at most.
struct MemoryTable {
    vhost::MemoryHeader header;
    std::array<vhost::MemoryRegion, 2> regions{};
};
static_assert(offsetof(MemoryTable, regions) == sizeof(vhost::MemoryHeader));

/// What is the ring's business. The rest is the tap's: the frames' Header is passed on as it is.
/// Not VHOST_NET_F_VIRTIO_NET_HDR, which is for a port without one.
constexpr std::uint64_t kRingFeatures =
    kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx | kFeatureMergeable;

std::uint64_t address_of(const void* host) noexcept {
    return reinterpret_cast<std::uintptr_t>(host);
}

}  // namespace

int VhostCalls::call(int fd, unsigned long request, void* argument) noexcept {
    return ::ioctl(fd, request, argument) < 0 ? errno : 0;
}

VhostCalls& vhost_calls() noexcept {
    static VhostCalls calls;
    return calls;
}

VhostDevice::VhostDevice(io::Fd fd, const std::string& what, VhostCalls& calls)
    : fd_(std::move(fd)), calls_(calls) {
    std::uint64_t features = 0;
    if (calls_.call(fd_.get(), vhost::kGetFeatures, &features) != 0) {
        io::throw_input(what + ": not what opening /dev/vhost-net gives");
    }
    if ((features & kRingFeatures) != kRingFeatures) {
        io::throw_input(what + ": the kernel's vhost-net is too old; leave vhost out");
    }
    if (const int error = calls_.call(fd_.get(), vhost::kSetOwner, nullptr); error != 0) {
        if (error == EBUSY) {
            io::throw_input(what + ": it has an owner already; open /dev/vhost-net for each pair");
        }
        io::throw_error(error, what + ": VHOST_SET_OWNER");
    }
}

int VhostDevice::set_up(std::uint64_t features, const GuestMemory& memory) noexcept {
    std::uint64_t ring_features = features & kRingFeatures;
    if (const int error = calls_.call(fd_.get(), vhost::kSetFeatures, &ring_features); error != 0) {
        return error;
    }
    MemoryTable table;
    for (const GuestMemory::Block& block : memory.blocks()) {
        if (table.header.count == table.regions.size()) {
            return E2BIG;
        }
        table.regions[table.header.count++] = {.guest = block.range.base().value(),
                                               .bytes = block.host.size(),
                                               .host = address_of(block.host.data())};
    }
    return calls_.call(fd_.get(), vhost::kSetMemory, &table);
}

int VhostDevice::set_ring(Ring ring, const SplitQueue& queue, int kick, int error) noexcept {
    const SplitQueue::HostAddresses host = queue.host_addresses();
    vhost::RingAddresses addresses{.ring = io::to_underlying(ring),
                                   .descriptors = address_of(host.descriptors),
                                   .used = address_of(host.device),
                                   .available = address_of(host.driver)};
    int result = set_number(vhost::kSetRingSize, ring, queue.size());
    if (result == 0) {
        result = set_number(vhost::kSetRingBase, ring, 0);
    }
    if (result == 0) {
        result = calls_.call(fd_.get(), vhost::kSetRingAddresses, &addresses);
    }
    if (result == 0) {
        result = set_file(vhost::kSetRingError, ring, error);
    }
    return result == 0 ? set_file(vhost::kSetRingKick, ring, kick) : result;
}

int VhostDevice::set_call(Ring ring, int call) noexcept {
    return set_file(vhost::kSetRingCall, ring, call);
}

int VhostDevice::set_port(Ring ring, int tap) noexcept {
    return set_file(vhost::kSetPort, ring, tap);
}

// Letting go fails for rings alone that there are not.
void VhostDevice::release(Ring ring) noexcept {
    for (const unsigned long request :
         {vhost::kSetRingKick, vhost::kSetRingCall, vhost::kSetRingError}) {
        static_cast<void>(set_file(request, ring, kNone));
    }
}

int VhostDevice::set_file(unsigned long request, Ring ring, int fd) noexcept {
    vhost::RingFile file{.ring = io::to_underlying(ring), .fd = fd};
    return calls_.call(fd_.get(), request, &file);
}

int VhostDevice::set_number(unsigned long request, Ring ring, unsigned number) noexcept {
    vhost::RingNumber state{.ring = io::to_underlying(ring), .number = number};
    return calls_.call(fd_.get(), request, &state);
}

}  // namespace cxlvm::virtio::net
