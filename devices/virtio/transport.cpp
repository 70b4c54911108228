// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport.hpp"

#include <algorithm>
#include <cstring>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::virtio {

namespace {

/// What the transport and the queues offer by themselves.
constexpr std::uint64_t kOwnFeatures = kFeatureVersion1 | kFeatureIndirectDesc | kFeatureEventIdx;
constexpr std::size_t kMaxConfigSize = kNotifyBase - kDeviceConfigBase;
constexpr std::size_t kMaxQueues = (kTransportSize - kNotifyBase) / kNotifyMultiplier;

/// The field of the common configuration structure that `offset` lies in.
[[nodiscard]] const RegisterSpec* find_field(std::uint64_t offset) noexcept {
    const auto* const row = std::ranges::find_if(kCommonTable, [&](const RegisterSpec& spec) {
        return offset >= spec.offset && offset - spec.offset < spec.width;
    });
    return row == kCommonTable.end() ? nullptr : row;
}

[[nodiscard]] IoStatus check_field_access(std::uint64_t offset, std::size_t size) noexcept {
    const RegisterSpec* const field = find_field(offset);
    if (field == nullptr) {
        return IoStatus::Unmapped;
    }
    if (size != field->width) {
        return IoStatus::BadSize;
    }
    return offset == field->offset ? IoStatus::Ok : IoStatus::BadAlign;
}

[[nodiscard]] std::vector<SplitQueue> make_queues(const VirtioDevice& device,
                                                  const GuestMemory& memory) {
    const std::span<const QueueLimits> limits = device.queues();
    io::check(limits.size() <= kMaxQueues, "a virtio device has at most 1024 queues");
    std::vector<SplitQueue> queues;
    queues.reserve(limits.size());
    for (const QueueLimits& limit : limits) {
        queues.emplace_back(memory, limit);
    }
    return queues;
}

}  // namespace

Transport::Transport(VirtioDevice& device, const GuestMemory& memory,
                     TransportInterrupts& interrupts, io::Log& log)
    : config_size_(device.initial_config().size()),
      device_(device),
      interrupts_(interrupts),
      log_(log),
      config_(device.initial_config().begin(), device.initial_config().end()),
      queues_(make_queues(device, memory)),
      common_(device, device.features() | kOwnFeatures, queues_, interrupts.vectors()) {
    io::check((device.features() & kReservedFeatures) == 0,
              "a virtio device offers features that are not its own");
    io::check(config_size_ <= kMaxConfigSize,
              "a virtio device's configuration space is at most 4096 bytes");
    device.attach(*this);
}

// --- Accesses ---

IoStatus Transport::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (offset < kIsrBase) {
        return read_common(offset - kCommonBase, data);
    }
    if (offset < kDeviceConfigBase) {
        return read_isr(offset - kIsrBase, data);
    }
    if (offset < kNotifyBase) {
        return read_config(offset - kDeviceConfigBase, data);
    }
    const IoStatus status = check_notify_access(offset - kNotifyBase, data.size());
    std::ranges::fill(data, std::byte{0});  // 4.1.4.4 has nothing to read there
    return status;
}

IoStatus Transport::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (offset < kIsrBase) {
        return write_common(offset - kCommonBase, data);
    }
    if (offset < kDeviceConfigBase) {
        if (offset != kIsrBase) {
            return IoStatus::Unmapped;
        }
        return data.size() == 1 ? IoStatus::Ok : IoStatus::BadSize;  // read-only
    }
    if (offset < kNotifyBase) {
        return write_config(offset - kDeviceConfigBase, data);
    }
    const IoStatus status = check_notify_access(offset - kNotifyBase, data.size());
    if (status == IoStatus::Ok) {
        // The place names the queue, as it does for an ioeventfd; what is written says the same.
        notify(static_cast<std::uint16_t>((offset - kNotifyBase) / kNotifyMultiplier));
    }
    return status;
}

IoStatus Transport::read_common(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = check_field_access(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    const io::MutexLock lock(mutex_);
    const auto field = static_cast<Common>(offset);
    const std::uint32_t value =
        field == Common::ConfigGeneration ? generation_ : common_.read(field);
    std::memcpy(data.data(), &value, data.size());
    return IoStatus::Ok;
}

IoStatus Transport::write_common(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = check_field_access(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    std::uint32_t value = 0;
    std::memcpy(&value, data.data(), data.size());
    Action action;
    {
        const io::MutexLock lock(mutex_);
        if (state_.phase != Phase::Resetting && !state_.reset_wanted) {
            const auto field = static_cast<Common>(offset);
            apply_locked(common_.write(field, value), action);
            action.interrupts = field == Common::QueueMsixVector && in_use_locked();
        }
    }
    perform(action);
    return IoStatus::Ok;
}

IoStatus Transport::read_isr(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (offset != 0) {
        return IoStatus::Unmapped;
    }
    if (data.size() != 1) {
        return IoStatus::BadSize;
    }
    {
        const io::MutexLock lock(mutex_);
        data[0] = std::byte{state_.isr.raw};
        state_.isr = {};  // 4.1.4.5.1
    }
    settle_intx();
    return IoStatus::Ok;
}

IoStatus Transport::check_config_access(std::uint64_t offset, std::size_t size) const noexcept {
    if (size != 1 && size != 2 && size != 4) {
        return IoStatus::BadSize;
    }
    if (offset % size != 0) {
        return IoStatus::BadAlign;
    }
    return offset < config_size_ && size <= config_size_ - offset ? IoStatus::Ok
                                                                  : IoStatus::Unmapped;
}

IoStatus Transport::read_config(std::uint64_t offset, std::span<std::byte> data) noexcept {
    const IoStatus status = check_config_access(offset, data.size());
    if (status == IoStatus::Ok) {
        const io::MutexLock lock(mutex_);
        std::memcpy(data.data(), config_.data() + offset, data.size());
        generation_seen_ = true;
    }
    return status;
}

IoStatus Transport::write_config(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    const IoStatus status = check_config_access(offset, data.size());
    if (status == IoStatus::Ok && device_.write_config(offset, data)) {
        const io::MutexLock lock(mutex_);
        (void)store_config_locked(offset, data);
    }
    return status;
}

IoStatus Transport::check_notify_access(std::uint64_t offset, std::size_t size) const noexcept {
    if (offset / kNotifyMultiplier >= queues_.size()) {
        return IoStatus::Unmapped;
    }
    if (size != sizeof(std::uint16_t)) {
        return IoStatus::BadSize;  // 32 bits are for NOTIFICATION_DATA (4.1.5.2)
    }
    return offset % kNotifyMultiplier == 0 ? IoStatus::Ok : IoStatus::BadAlign;
}

void Transport::notify(std::uint16_t queue) noexcept {
    {
        const io::MutexLock lock(mutex_);
        // While the device is being activated nothing gets lost: it is told of every queue then.
        if (state_.phase != Phase::Active || queue >= queues_.size() ||
            !common_.queue_enabled(queue)) {
            return;
        }
    }
    device_.queue_notified(queue);
}

// --- Life of the device ---

void Transport::apply_locked(const CommonConfig::Effects& effects, Action& action) noexcept {
    if (effects.reset) {
        begin_reset_locked(action);
    }
    if (effects.driver_ok) {
        state_.phase = Phase::Activating;
        action.activate = true;
    }
    if (effects.bad_queue) {
        fail_locked("a queue's size is not possible or its areas are not aligned RAM", action);
    }
}

void Transport::begin_reset_locked(Action& action) noexcept {
    switch (state_.phase) {
        case Phase::Idle:
            clear_locked(action);
            break;
        case Phase::Activating:
            state_.reset_wanted = true;  // whoever activates carries it out
            break;
        case Phase::Active:
            state_.phase = Phase::Resetting;
            action.reset = true;
            break;
        case Phase::Resetting:
            break;
    }
}

void Transport::clear_locked(Action& action) noexcept {
    state_ = State{};
    common_.reset();
    action.intx = true;
}

void Transport::activate() noexcept {
    const bool started = start_device();
    Action action;
    {
        const io::MutexLock lock(mutex_);
        state_.phase = Phase::Active;
        if (state_.reset_wanted) {
            state_.reset_wanted = false;
            begin_reset_locked(action);
        } else if (!started) {
            fail_locked("it could not be started", action);
        }
    }
    perform(action);
    for (std::uint16_t i = 0; i < queues(); ++i) {
        notify(i);  // chains may have come while nobody listened
    }
}

bool Transport::start_device() noexcept {
    std::uint64_t features = 0;
    bool started = true;
    {
        const io::MutexLock lock(mutex_);
        features = common_.features();
        for (std::uint16_t i = 0; i < queues(); ++i) {
            started =
                started && (!common_.queue_enabled(i) || queues_[i].start(common_.queue_setup(i)));
        }
    }
    return device_.activate({.features = features, .queues = queues_}) && started;
}

void Transport::reset() noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        begin_reset_locked(action);
    }
    perform(action);
}

bool Transport::resetting() noexcept {
    const io::MutexLock lock(mutex_);
    return state_.phase == Phase::Resetting || state_.reset_wanted;
}

// --- What the device says ---

bool Transport::in_use_locked() const noexcept {
    return state_.phase == Phase::Active || state_.phase == Phase::Activating;
}

bool Transport::notifies_locked() const noexcept {
    return common_.status().get(kStatusDriverOk) && state_.phase != Phase::Resetting &&
           !state_.reset_wanted;
}

void Transport::notify_queue(std::uint16_t queue) noexcept {
    const bool msix = interrupts_.msix_enabled();
    Action action;
    {
        const io::MutexLock lock(mutex_);
        if (!notifies_locked() || queue >= queues_.size()) {
            return;
        }
        if (msix) {
            action.vector = common_.queue_vector(queue);
        } else {
            state_.isr = state_.isr.with(kIsrQueue, true);
            action.intx = true;
        }
    }
    perform(action);
}

void Transport::interrupts_changed() noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        action.interrupts = in_use_locked();
    }
    perform(action);
}

int Transport::share_notifications(std::uint16_t queue) noexcept {
    if (!interrupts_.msix_enabled()) {
        return -1;
    }
    std::uint16_t vector = kNoVector;
    {
        const io::MutexLock lock(mutex_);
        vector = queue < queues_.size() ? common_.queue_vector(queue) : kNoVector;
    }
    return vector != kNoVector ? interrupts_.share(vector) : -1;
}

// The status bit is set in any case, the vector sent where there is one (4.1.4.5.1, 4.1.5.4). A
// function with MSI-X enabled keeps INTx quiet, so nobody needs to ask here which it is.
void Transport::announce_config_locked(Action& action) noexcept {
    if (notifies_locked()) {
        state_.isr = state_.isr.with(kIsrConfig, true);
        action.vector = common_.config_vector();
        action.intx = true;
    }
}

void Transport::update_config(std::size_t offset, std::span<const std::byte> data) noexcept {
    io::check(offset <= config_size_ && data.size() <= config_size_ - offset,
              "a virtio device changes more configuration than it has");
    Action action;
    {
        const io::MutexLock lock(mutex_);
        if (store_config_locked(offset, data)) {
            announce_config_locked(action);
        }
    }
    perform(action);
}

// The generation moves once for all changes between two reads: no number of changes that a driver
// reads nothing of makes its 8 bits come round to what the driver saw (2.5.2, 4.1.4.3.1).
bool Transport::store_config_locked(std::size_t offset, std::span<const std::byte> data) noexcept {
    const std::span<std::byte> target = std::span(config_).subspan(offset, data.size());
    if (std::ranges::equal(target, data)) {
        return false;
    }
    std::ranges::copy(data, target.begin());
    if (generation_seen_) {
        generation_seen_ = false;
        ++generation_;
    }
    return true;
}

void Transport::fail(const char* why) noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        if (state_.phase != Phase::Resetting) {
            fail_locked(why, action);
        }
    }
    perform(action);
}

void Transport::fail_locked(const char* why, Action& action) noexcept {
    if (!common_.status().get(kStatusNeedsReset)) {
        common_.set_needs_reset();
        action.failure = why;
        announce_config_locked(action);  // 2.1.2
    }
}

void Transport::reset_done() noexcept {
    Action action;
    {
        const io::MutexLock lock(mutex_);
        io::check(state_.phase == Phase::Resetting, "a virtio device ends a reset that is none");
        for (SplitQueue& queue : queues_) {
            queue.stop();
        }
        clear_locked(action);
    }
    perform(action);
    interrupts_.reset_ended();
}

// --- Effects ---

void Transport::perform(const Action& action) noexcept {
    if (action.failure != nullptr) {
        log_.guest(oddities_, "{}: {}; the device needs a reset by its driver", name(),
                   action.failure);
    }
    if (action.vector != kNoVector) {
        interrupts_.raise(action.vector);
    }
    if (action.intx) {
        settle_intx();
    }
    if (action.interrupts) {
        device_.interrupts_changed();
    }
    if (action.reset) {
        device_.reset();
    }
    if (action.activate) {
        activate();
    }
}

// One thread at a time tells the level, so that the last one told is the true one; whoever finds
// another at it leaves the change to that one. Each further round is due to another access.
void Transport::settle_intx() noexcept {
    while (true) {
        bool level = false;
        {
            const io::MutexLock lock(mutex_);
            level = state_.isr.raw != 0;
            if (intx_busy_ || level == intx_) {
                return;
            }
            intx_busy_ = true;
            intx_ = level;
        }
        interrupts_.set_intx(level);
        const io::MutexLock lock(mutex_);
        intx_busy_ = false;
    }
}

}  // namespace cxlvm::virtio
