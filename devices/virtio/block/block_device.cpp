// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "io/error.hpp"

namespace cxlvm::virtio::block {

namespace {

constexpr std::uint16_t kQueueSize = 256;
/// Data elements of a request; header and status come to that.
constexpr std::uint16_t kMaxDataSegments = 254;
constexpr std::uint16_t kMaxSegments = kMaxDataSegments + 2;
/// Requests of one queue that the kernel has at once.
constexpr unsigned kQueueDepth = 128;
/// Of one range: 1 GiB. Longer ones would keep a queue's other requests waiting at a reset.
constexpr std::uint32_t kMaxRangeSectors = (1U << 30) / kSectorSize;

std::array<std::byte, kIdSize> padded_id(const std::string& id) {
    if (id.size() > kIdSize) {
        io::throw_input(fmt::format(
            "--disk: id={}: longer than {} bytes, which is all that virtio has room for", id,
            kIdSize));
    }
    std::array<std::byte, kIdSize> bytes{};
    std::memcpy(bytes.data(), id.data(), id.size());
    return bytes;
}

std::vector<QueueLimits> queue_limits(unsigned queues) {
    if (queues == 0 || queues > BlockDevice::kMaxQueues) {
        io::throw_input(
            fmt::format("--disk: queues={}: give 1 to {}", queues, BlockDevice::kMaxQueues));
    }
    return std::vector<QueueLimits>(queues, {.max_size = kQueueSize, .max_segments = kMaxSegments});
}

const RateLimits& checked(const RateLimits& rates) {
    validate(rates, "--disk");
    return rates;
}

std::array<std::byte, kConfigSize> config_space(const DiskFile& disk, std::uint16_t queues) {
    std::array<std::byte, kConfigSize> bytes{};
    const auto put = [&bytes](Config offset, auto value) {
        std::memcpy(bytes.data() + static_cast<std::size_t>(offset), &value, sizeof(value));
    };
    put(Config::Capacity, disk.sectors());
    put(Config::SegMax, std::uint32_t{kMaxDataSegments});
    put(Config::BlockSize, disk.block_size());
    put(Config::NumQueues, queues);
    put(Config::MaxDiscardSectors, kMaxRangeSectors);
    put(Config::MaxDiscardSeg, std::uint32_t{kMaxRanges});
    put(Config::DiscardSectorAlignment,
        static_cast<std::uint32_t>(disk.block_size() / kSectorSize));
    put(Config::MaxWriteZeroesSectors, kMaxRangeSectors);
    put(Config::MaxWriteZeroesSeg, std::uint32_t{kMaxRanges});
    put(Config::WriteZeroesMayUnmap, std::uint8_t{1});
    return bytes;
}

}  // namespace

BlockDevice::BlockDevice(const BlockConfig& config, io::EventLoop& loop, io::Log& log,
                         Throttle::Clock clock)
    : disk_(config.disk),
      id_(padded_id(config.id)),
      limits_(queue_limits(config.queues)),
      config_space_(config_space(disk_, static_cast<std::uint16_t>(config.queues))),
      loop_(loop),
      throttle_(checked(config.rates), loop, clock) {
    const auto on_quiet = [](void* self) noexcept { static_cast<BlockDevice*>(self)->on_quiet(); };
    throttle_.on_idle(on_quiet, this);
    const QueueWiring wiring{.loop = loop_,
                             .disk = disk_,
                             .zeros = zeros_,
                             .throttle = throttle_,
                             .id = id_,
                             .log = log,
                             .log_limit = log_limit_};
    for (unsigned i = 0; i < config.queues; ++i) {
        queues_.push_back(
            std::make_unique<BlockQueue>(static_cast<std::uint16_t>(i), kQueueDepth, wiring));
        queues_.back()->on_quiet(on_quiet, this);
    }
}

BlockDevice::~BlockDevice() {
    loop_.withdraw(reset_task_);
}

std::uint64_t BlockDevice::features() const noexcept {
    std::uint64_t features = kFeatureSegMax | kFeatureBlockSize | kFeatureFlush;
    features |= disk_.read_only() ? kFeatureReadOnly : kFeatureDiscard | kFeatureWriteZeroes;
    if (limits_.size() > 1) {
        features |= kFeatureMultiQueue;
    }
    return features;
}

bool BlockDevice::activate(const Activation& activation) noexcept {
    const auto has = [&activation](std::uint64_t bit) { return (activation.features & bit) != 0; };
    for (std::size_t i = 0; i < queues_.size() && i < activation.queues.size(); ++i) {
        if (!activation.queues[i].running()) {
            continue;
        }
        queues_[i]->open({.host = host_,
                          .ring = &activation.queues[i],
                          .limits = {.sectors = disk_.sectors(),
                                     .read_only = disk_.read_only(),
                                     .discard = has(kFeatureDiscard),
                                     .write_zeroes = has(kFeatureWriteZeroes),
                                     .max_range_sectors = kMaxRangeSectors},
                          .write_through = !has(kFeatureFlush)});
    }
    return true;
}

void BlockDevice::queue_notified(std::uint16_t queue) noexcept {
    if (queue < queues_.size()) {
        queues_[queue]->wake();
    }
}

void BlockDevice::reset() noexcept {
    loop_.post(reset_task_);
}

bool BlockDevice::all_quiet() const noexcept {
    return throttle_.idle() &&
           std::ranges::all_of(queues_, [](const auto& queue) { return queue->quiet(); });
}

void BlockDevice::on_reset() noexcept {
    resetting_ = true;
    for (const auto& queue : queues_) {
        queue->close();
    }
    on_quiet();
}

void BlockDevice::on_quiet() noexcept {
    if (resetting_ && all_quiet()) {
        resetting_ = false;
        host_->reset_done();
    }
}

}  // namespace cxlvm::virtio::block
