// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/function.hpp"

#include "devices/pci/root_port.hpp"

namespace cxlvm::pci {

IoStatus check_access(std::uint64_t offset, std::size_t size) noexcept {
    if (size != 1 && size != 2 && size != 4) {
        return IoStatus::BadSize;
    }
    return offset % 4 + size <= 4 ? IoStatus::Ok : IoStatus::BadAlign;
}

PciFunction::PciFunction(const char* name, const Identity& identity, HeaderType type)
    : name_(name), config_(identity, type) {}

IoStatus PciFunction::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
    if (const IoStatus status = check_access(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    config_reading(offset, data.size());
    const io::MutexLock lock(mutex_);
    return config_.read(offset, data);
}

IoStatus PciFunction::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
    if (const IoStatus status = check_access(offset, data.size()); status != IoStatus::Ok) {
        return status;
    }
    bool resets = false;
    {
        const io::MutexLock lock(mutex_);
        if (const IoStatus status = config_.write(offset, data); status != IoStatus::Ok) {
            return status;
        }
        resets = config_.take_function_reset();
    }
    if (resets) {
        reset_function();
        return IoStatus::Ok;
    }
    for (FunctionPart* part : parts_) {
        part->config_written();
    }
    config_written(offset, data.size());
    return IoStatus::Ok;
}

bool PciFunction::is_reached_at(GpaRange range) const noexcept {
    return upstream_ == nullptr || upstream_->passes_down(range);
}

bool PciFunction::reaches_memory() const noexcept {
    return upstream_ == nullptr || upstream_->passes_up();
}

void PciFunction::upstream_changed() noexcept {
    for (FunctionPart* part : parts_) {
        part->config_written();
    }
}

void PciFunction::config_reading(std::uint64_t /*offset*/, std::size_t /*size*/) noexcept {}

void PciFunction::config_written(std::uint64_t /*offset*/, std::size_t /*size*/) noexcept {}

void PciFunction::reset_function() noexcept {
    // Nobody else may touch the function meanwhile (6.6.2): a setting of a vCPU that does is lost.
    const std::uint16_t link =
        with_config([](const ConfigSpace& config) { return config.link_settings(); });
    reset();
    with_config([link](ConfigSpace& config) { config.set_link_settings(link); });
}

void PciFunction::reset() noexcept {
    {
        const io::MutexLock lock(mutex_);
        config_.reset();
    }
    for (FunctionPart* part : parts_) {
        part->config_reset();
    }
}

}  // namespace cxlvm::pci
