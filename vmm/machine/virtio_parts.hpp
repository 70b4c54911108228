// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "devices/pci_place.hpp"
#include "devices/virtio/balloon/balloon_device.hpp"
#include "devices/virtio/device.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "memory/guest_memory.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// The virtio devices that a configuration names, made and on no bus yet, but for the console. They
/// hold what they need of the host: a disk that cannot be had stops the machine before a console
/// has emptied its file.
class VirtioParts {
  public:
    struct Part {
        std::unique_ptr<virtio::VirtioDevice> device;
        PciPlace place{};
    };

    /// Throws io::Error. All outlive this.
    VirtioParts(const VmConfig& config, const GuestMemory& memory, io::EventLoop& loop,
                io::Log& log);

    // In the order in which the guest is to find them; the console stands in between.
    [[nodiscard]] const std::vector<Part>& before_console() const noexcept {
        return before_console_;
    }
    [[nodiscard]] const std::vector<Part>& behind_console() const noexcept {
        return behind_console_;
    }
    /// nullptr where the configuration names none.
    [[nodiscard]] virtio::balloon::BalloonDevice* balloon() const noexcept { return balloon_; }

  private:
    std::vector<Part> before_console_;
    std::vector<Part> behind_console_;
    virtio::balloon::BalloonDevice* balloon_ = nullptr;
};

}  // namespace cxlvm
