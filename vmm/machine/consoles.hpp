// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "io/event_loop.hpp"
#include "io/log.hpp"
#include "vmm/console/console.hpp"
#include "vmm/vm_config.hpp"

namespace cxlvm {

/// The host's ends of the serial port and, where there is one, the virtio console; what is done to
/// both. Threads as Console has it.
class Consoles {
  public:
    /// Throws io::Error.
    Consoles(const VmConfig& config, io::EventLoop& loop, io::Log& log, QuitHandler quit);
    Consoles(const Consoles&) = delete;
    Consoles& operator=(const Consoles&) = delete;
    ~Consoles();

    [[nodiscard]] Console& serial() noexcept { return serial_; }
    [[nodiscard]] const Console& serial() const noexcept { return serial_; }
    /// nullptr without one.
    [[nodiscard]] Console* virtio() noexcept { return virtio_ ? &*virtio_ : nullptr; }
    [[nodiscard]] const Console* virtio() const noexcept { return virtio_ ? &*virtio_ : nullptr; }

    void start() noexcept;
    /// Posts `done` once both have finished. Once.
    void finish(io::Task& done) noexcept;
    void abandon() noexcept;
    void leave_terminal() noexcept;
    void take_terminal() noexcept;

  private:
    void on_finished() noexcept;

    io::EventLoop& loop_;
    Console serial_;
    std::optional<Console> virtio_;
    io::Task serial_finished_{io::Task::to<&Consoles::on_finished>(*this)};
    io::Task virtio_finished_{io::Task::to<&Consoles::on_finished>(*this)};
    // The loop's thread.
    unsigned unfinished_ = 0;
    io::Task* done_ = nullptr;
};

}  // namespace cxlvm
