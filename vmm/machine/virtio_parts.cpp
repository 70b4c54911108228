// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio_parts.hpp"

#include <utility>

#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/block/disk_file.hpp"
#include "devices/virtio/entropy/entropy_device.hpp"
#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/vsock/vsock_device.hpp"

namespace cxlvm {

VirtioParts::VirtioParts(const VmConfig& config, const GuestMemory& memory, io::EventLoop& loop,
                         io::Log& log) {
    virtio::block::check_distinct(config.disks);
    for (const virtio::block::BlockConfig& disk : config.disks) {
        before_console_.push_back(
            {.device = std::make_unique<virtio::block::BlockDevice>(disk, loop, log),
             .place = disk.place});
    }
    for (const virtio::net::NetConfig& net : config.nets) {
        before_console_.push_back(
            {.device = std::make_unique<virtio::net::NetDevice>(net, loop, log),
             .place = net.place});
    }
    if (config.vsock) {
        before_console_.push_back(
            {.device = std::make_unique<virtio::vsock::VsockDevice>(*config.vsock, loop, log),
             .place = config.vsock->place});
    }
    if (config.rng) {
        behind_console_.push_back(
            {.device = std::make_unique<virtio::entropy::EntropyDevice>(*config.rng, loop, log),
             .place = config.rng->place});
    }
    if (config.balloon) {
        auto device =
            std::make_unique<virtio::balloon::BalloonDevice>(*config.balloon, memory, loop, log);
        balloon_ = device.get();
        behind_console_.push_back({.device = std::move(device), .place = config.balloon->place});
    }
}

}  // namespace cxlvm
