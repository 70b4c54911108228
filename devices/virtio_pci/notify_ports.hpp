// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

#include "devices/pci/spec.hpp"
#include "devices/virtio/transport.hpp"
#include "memory/io_handler.hpp"

namespace cxlvm::virtio {

/// The notification registers of a transport (virtio 1.2, 4.1.4.4) once more, as I/O ports. An OUT
/// says by itself which port it is for, where a store to memory that is not there has to be decoded
/// by the host (except on hosts that know of the address alone): it ends sooner.
class NotifyPorts final : public IoHandler {
  public:
    /// `transport` outlives this.
    explicit NotifyPorts(Transport& transport) noexcept : transport_(transport) {}

    /// Ports that an I/O BAR needs for so many queues; 0 when it cannot have as many.
    [[nodiscard]] static constexpr std::uint64_t size_for(std::uint64_t queues) noexcept {
        const std::uint64_t size =
            std::bit_ceil(std::max(queues * kNotifyMultiplier, pci::kIoBarMinimumSize));
        return size <= pci::kIoBarMaximumSize ? size : 0;
    }

    IoStatus read(std::uint64_t offset, std::span<std::byte> data) noexcept override {
        return transport_.read(kNotifyBase + offset, data);
    }
    IoStatus write(std::uint64_t offset, std::span<const std::byte> data) noexcept override {
        return transport_.write(kNotifyBase + offset, data);
    }

  private:
    Transport& transport_;
};

}  // namespace cxlvm::virtio
