// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/balloon/balloon_device.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "devices/virtio/segments.hpp"

namespace cxlvm::virtio::balloon {

namespace {

/// Linux reports no free pages by a queue of fewer than 32 elements.
constexpr std::uint16_t kQueueSize = 64;
/// Of reported memory that one turn of the loop gives back: freeing it takes time.
constexpr std::uint64_t kTurnBytes = std::uint64_t{16} << 20;

std::array<QueueLimits, kMaxQueues> queue_limits() noexcept {
    std::array<QueueLimits, kMaxQueues> limits{};
    limits.fill({.max_size = kQueueSize});
    return limits;
}

std::size_t queue_count(const BalloonConfig& config) noexcept {
    if (config.reporting) {
        return kReportingQueue + 1;
    }
    return config.statistics.count() != 0 ? kStatisticsQueue + 1 : kDeflateQueue + 1;
}

std::uint32_t pages_of(std::uint64_t bytes, const GuestMemory& memory) noexcept {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(
        std::min(bytes, memory.size()) >> kPageShift, std::numeric_limits<std::uint32_t>::max()));
}

std::array<std::byte, kConfigSize> config_space(std::uint32_t pages) noexcept {
    std::array<std::byte, kConfigSize> bytes{};
    std::memcpy(bytes.data() + kConfigNumPages, &pages, sizeof(pages));
    return bytes;
}

std::uint64_t mebibytes(std::optional<std::uint64_t> bytes) noexcept {
    return bytes.value_or(0) >> 20;
}

}  // namespace

BalloonDevice::BalloonDevice(const BalloonConfig& config, const GuestMemory& memory,
                             io::EventLoop& loop, io::Log& log)
    : configuration_(config),
      limits_(queue_limits()),
      queue_count_(queue_count(config)),
      config_space_(config_space(pages_of(config.target, memory))),
      memory_(memory),
      loop_(loop),
      log_(log),
      queues_{{{0, 1, loop, *this},
               {1, kQueueSize, loop, *this},
               {2, 1, loop, *this},
               {3, 1, loop, *this},
               {4, 1, loop, *this}}} {}

BalloonDevice::~BalloonDevice() {
    loop_.withdraw(reset_task_);
}

std::uint64_t BalloonDevice::features() const noexcept {
    return (configuration_.deflate_on_oom ? kFeatureDeflateOnOom : 0) |
           (configuration_.reporting ? kFeatureReporting : 0) |
           (configuration_.statistics.count() != 0 ? kFeatureStatistics : 0);
}

/// Drivers number the queue of reported pages in two ways: 4, as 5.5.2 has it, or, as Linux does,
/// with no gaps for the queues that are not there.
BalloonDevice::Roles BalloonDevice::assign_roles(const Activation& activation) const noexcept {
    Roles roles{Role::Inflate, Role::Deflate};
    std::size_t next = kStatisticsQueue;
    if ((activation.features & kFeatureStatistics) != 0) {
        roles[next++] = Role::Statistics;
    }
    if ((activation.features & kFeatureReporting) != 0) {
        roles[activation.queues[kReportingQueue].running() ? kReportingQueue : next] =
            Role::Reporting;
    }
    return roles;
}

bool BalloonDevice::activate(const Activation& activation) noexcept {
    roles_ = assign_roles(activation);
    for (std::size_t i = 0; i < activation.queues.size(); ++i) {
        if (roles_[i] != Role::None && activation.queues[i].running()) {
            queues_[i].open(*host_, activation.queues[i]);
        }
    }
    return true;
}

void BalloonDevice::queue_notified(std::uint16_t queue) noexcept {
    if (queue < queue_count_) {
        queues_[queue].wake();
    }
}

bool BalloonDevice::write_config(std::size_t offset, std::span<const std::byte> data) noexcept {
    std::uint32_t pages = 0;
    if (offset != kConfigActual || data.size() != sizeof(pages)) {
        return false;
    }
    std::memcpy(&pages, data.data(), sizeof(pages));
    actual_.store(pages, std::memory_order_relaxed);
    return true;
}

void BalloonDevice::set_target(std::uint64_t bytes) noexcept {
    const std::uint32_t pages = pages_of(bytes, memory_);
    host_->update_config(kConfigNumPages, std::as_bytes(std::span(&pages, 1)));
}

std::optional<Statistics> BalloonDevice::statistics() const noexcept {
    const io::MutexLock lock(mutex_);
    return statistics_;
}

Turn BalloonDevice::serve(std::uint16_t queue, Chain& chain, std::uint32_t& /*written*/) noexcept {
    switch (roles_[queue]) {
        case Role::Inflate:
            return inflate(chain);
        case Role::Statistics:
            return take_statistics(chain);
        case Role::Reporting:
            return discard_reported(chain);
        case Role::Deflate:
        case Role::None:
            break;
    }
    return Turn::Done;
}

void BalloonDevice::discard(std::span<std::byte> host) noexcept {
    discarded_.fetch_add(memory_.discard(host), std::memory_order_relaxed);
}

Turn BalloonDevice::inflate(Chain& chain) noexcept {
    batch_.take(chain.readable, memory_);
    for (const std::span<std::byte> run : batch_.runs()) {
        discard(run);
    }
    if (batch_.outside() != 0) {
        log_.guest(log_limit_, "balloon: the guest gives up {} pages that are not its RAM",
                   batch_.outside());
    }
    return chain.readable.empty() ? Turn::Done : Turn::Later;
}

Turn BalloonDevice::discard_reported(Chain& chain) noexcept {
    std::uint64_t left = kTurnBytes;
    while (!chain.writable.empty() && left != 0) {
        const iovec& segment = chain.writable.front();
        const std::size_t size = std::min<std::uint64_t>(segment.iov_len, left);
        discard({static_cast<std::byte*>(segment.iov_base), size});
        drop_front(chain.writable, size);
        left -= size;
    }
    return chain.writable.empty() ? Turn::Done : Turn::Later;
}

Turn BalloonDevice::take_statistics(const Chain& chain) noexcept {
    if (std::exchange(poll_due_, false)) {
        asked_ = true;
        return Turn::Done;
    }
    if (!poll_.idle()) {
        return Turn::Wait;
    }
    const Statistics report = parse_statistics(chain.readable);
    {
        const io::MutexLock lock(mutex_);
        statistics_ = report;
    }
    // Not the first one of each round, which comes as often as the driver likes.
    if (std::exchange(asked_, false)) {
        log_.info("balloon: {} MiB; of {} MiB the guest has {} MiB free and {} MiB available",
                  size() >> 20, mebibytes(report.get(Statistic::TotalMemory)),
                  mebibytes(report.get(Statistic::FreeMemory)),
                  mebibytes(report.get(Statistic::AvailableMemory)));
    }
    loop_.start(poll_.set(configuration_.statistics));
    return Turn::Wait;
}

void BalloonDevice::on_poll(std::int32_t result, std::uint32_t /*flags*/, bool /*more*/) noexcept {
    if (resetting_) {
        end_reset();
    } else if (result == -ETIME) {
        poll_due_ = true;
        queues_[kStatisticsQueue].run();
    }
}

void BalloonDevice::reset() noexcept {
    loop_.post(reset_task_);
}

void BalloonDevice::on_reset() noexcept {
    for (LoopQueue& queue : queues_) {
        queue.close();
    }
    resetting_ = true;
    if (poll_.idle()) {
        end_reset();
    } else {
        loop_.cancel(poll_);
    }
}

/// The balloon of a guest that starts anew is empty: all pages are its own again.
void BalloonDevice::end_reset() noexcept {
    resetting_ = false;
    poll_due_ = false;
    asked_ = false;
    actual_.store(0, std::memory_order_relaxed);
    {
        const io::MutexLock lock(mutex_);
        statistics_.reset();
    }
    constexpr std::uint32_t kNone = 0;
    host_->update_config(kConfigActual, std::as_bytes(std::span(&kNone, 1)));
    host_->reset_done();
}

}  // namespace cxlvm::virtio::balloon
