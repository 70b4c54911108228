// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/common_config.hpp"

namespace cxlvm::virtio {

namespace {

[[nodiscard]] constexpr std::uint64_t with_low(std::uint64_t value, std::uint32_t half) noexcept {
    return (value >> 32U << 32U) | half;
}
[[nodiscard]] constexpr std::uint64_t with_high(std::uint64_t value, std::uint32_t half) noexcept {
    return static_cast<std::uint32_t>(value) | std::uint64_t{half} << 32U;
}
[[nodiscard]] constexpr std::uint32_t low(std::uint64_t value) noexcept {
    return static_cast<std::uint32_t>(value);
}
[[nodiscard]] constexpr std::uint32_t high(std::uint64_t value) noexcept {
    return static_cast<std::uint32_t>(value >> 32U);
}

}  // namespace

CommonConfig::CommonConfig(const VirtioDevice& device, std::uint64_t offered,
                           std::span<const SplitQueue> queues, std::uint16_t vectors)
    : offered_(offered),
      vectors_(vectors),
      device_(device),
      queues_(queues),
      fields_(queues.size()) {
    reset();
}

void CommonConfig::reset() noexcept {
    state_ = State{};
    for (std::size_t i = 0; i < fields_.size(); ++i) {
        fields_[i] = QueueFields{};
        fields_[i].size = queues_[i].max_size();
    }
}

QueueSetup CommonConfig::queue_setup(std::uint16_t queue) const noexcept {
    const QueueFields& fields = fields_[queue];
    return {.size = fields.size,
            .descriptors = Gpa(fields.descriptors),
            .driver = Gpa(fields.driver),
            .device = Gpa(fields.device),
            .event_idx = (features() & kFeatureEventIdx) != 0,
            .indirect = (features() & kFeatureIndirectDesc) != 0};
}

std::uint32_t CommonConfig::read(Common field) const noexcept {
    switch (field) {
        case Common::DeviceFeatureSelect:
            return state_.device_feature_select;
        case Common::DeviceFeature:
            return state_.device_feature_select == 0   ? low(offered_)
                   : state_.device_feature_select == 1 ? high(offered_)
                                                       : 0;
        case Common::DriverFeatureSelect:
            return state_.driver_feature_select;
        case Common::DriverFeature:
            return state_.driver_feature_select < state_.driver_features.size()
                       ? state_.driver_features[state_.driver_feature_select]
                       : 0;
        case Common::ConfigMsixVector:
            return state_.config_vector;
        case Common::NumQueues:
            return static_cast<std::uint32_t>(fields_.size());
        case Common::DeviceStatus:
            return state_.status.raw;
        case Common::QueueSelect:
            return state_.queue_select;
        default:
            return read_queue(field);
    }
}

std::uint32_t CommonConfig::read_queue(Common field) const noexcept {
    if (state_.queue_select >= fields_.size()) {
        // A size of 0 says that there is no such queue.
        return field == Common::QueueMsixVector ? kNoVector : 0;
    }
    const QueueFields& queue = fields_[state_.queue_select];
    switch (field) {
        case Common::QueueSize:
            return queue.size;
        case Common::QueueMsixVector:
            return queue.vector;
        case Common::QueueEnable:
            return queue.enabled ? 1 : 0;
        case Common::QueueNotifyOff:
            return state_.queue_select;
        case Common::QueueDescLow:
            return low(queue.descriptors);
        case Common::QueueDescHigh:
            return high(queue.descriptors);
        case Common::QueueDriverLow:
            return low(queue.driver);
        case Common::QueueDriverHigh:
            return high(queue.driver);
        case Common::QueueDeviceLow:
            return low(queue.device);
        case Common::QueueDeviceHigh:
            return high(queue.device);
        default:
            return 0;
    }
}

CommonConfig::Effects CommonConfig::write(Common field, std::uint32_t value) noexcept {
    Effects effects;
    switch (field) {
        case Common::DeviceFeatureSelect:
            state_.device_feature_select = value;
            break;
        case Common::DriverFeatureSelect:
            state_.driver_feature_select = value;
            break;
        case Common::DriverFeature:
            // Settled by FEATURES_OK (3.1.1).
            if (!state_.status.get(kStatusFeaturesOk) &&
                state_.driver_feature_select < state_.driver_features.size()) {
                state_.driver_features[state_.driver_feature_select] = value;
            }
            break;
        case Common::ConfigMsixVector:
            state_.config_vector = vector_of(value);
            break;
        case Common::DeviceStatus:
            write_status({static_cast<std::uint8_t>(value)}, effects);
            break;
        case Common::QueueSelect:
            state_.queue_select = static_cast<std::uint16_t>(value);
            break;
        case Common::DeviceFeature:
        case Common::NumQueues:
        case Common::ConfigGeneration:
            break;  // read-only
        default:
            write_queue(field, value, effects);
            break;
    }
    return effects;
}

void CommonConfig::write_queue(Common field, std::uint32_t value, Effects& effects) noexcept {
    if (state_.queue_select >= fields_.size()) {
        return;
    }
    QueueFields& queue = fields_[state_.queue_select];
    if (field == Common::QueueMsixVector) {
        queue.vector = vector_of(value);
        return;
    }
    if (queue.enabled || state_.status.get(kStatusDriverOk)) {
        return;
    }
    switch (field) {
        case Common::QueueSize:
            queue.size = static_cast<std::uint16_t>(value);
            break;
        case Common::QueueEnable:
            if (value == 1) {  // 4.1.4.3.2: a driver writes nothing else
                queue.enabled =
                    queues_[state_.queue_select].valid(queue_setup(state_.queue_select));
                effects.bad_queue = !queue.enabled;
            }
            break;
        case Common::QueueDescLow:
            queue.descriptors = with_low(queue.descriptors, value);
            break;
        case Common::QueueDescHigh:
            queue.descriptors = with_high(queue.descriptors, value);
            break;
        case Common::QueueDriverLow:
            queue.driver = with_low(queue.driver, value);
            break;
        case Common::QueueDriverHigh:
            queue.driver = with_high(queue.driver, value);
            break;
        case Common::QueueDeviceLow:
            queue.device = with_low(queue.device, value);
            break;
        case Common::QueueDeviceHigh:
            queue.device = with_high(queue.device, value);
            break;
        default:
            break;  // read-only
    }
}

// A vector that there is not cannot be mapped, which the driver reads back (4.1.5.1.2).
std::uint16_t CommonConfig::vector_of(std::uint32_t value) const noexcept {
    return value < vectors_ ? static_cast<std::uint16_t>(value) : kNoVector;
}

void CommonConfig::write_status(Status value, Effects& effects) noexcept {
    if (value.raw == 0) {
        effects.reset = true;
        return;
    }
    Status status = state_.status;
    constexpr auto kSimple =
        mask_of<std::uint8_t>(kStatusAcknowledge, kStatusDriver, kStatusFailed);
    status.raw = static_cast<std::uint8_t>(status.raw | (value.raw & kSimple));
    if (value.get(kStatusFeaturesOk) && features_acceptable()) {
        status = status.with(kStatusFeaturesOk, true);
    }
    if (value.get(kStatusDriverOk) && !status.get(kStatusDriverOk) &&
        status.get(kStatusFeaturesOk) && !status.get(kStatusFailed) &&
        !status.get(kStatusNeedsReset)) {
        status = status.with(kStatusDriverOk, true);
        effects.driver_ok = true;
    }
    state_.status = status;
}

std::uint64_t CommonConfig::features() const noexcept {
    return with_high(state_.driver_features[0], state_.driver_features[1]);
}

bool CommonConfig::features_acceptable() const noexcept {
    const std::uint64_t wanted = features();
    return (state_.driver_features[2] | state_.driver_features[3]) == 0 &&
           (wanted & ~offered_) == 0 && (wanted & kFeatureVersion1) != 0 && device_.accepts(wanted);
}

}  // namespace cxlvm::virtio
