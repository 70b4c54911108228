// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "devices/character.hpp"
#include "io/event_loop.hpp"
#include "io/operations.hpp"
#include "vmm/console/byte_ring.hpp"
#include "vmm/console/escape.hpp"

namespace cxlvm {

/// The way into a console: reads a descriptor and offers the bytes to the guest's device.
///
/// From files, pipes and sockets it reads on only when the device has taken everything, so the
/// sender waits for the guest. From a terminal it always reads on, lest a guest that does not
/// listen could hide the operator's escape; what exceeds kCapacity bytes is dropped then.
class ConsoleInput {
  public:
    static constexpr std::size_t kCapacity = std::size_t{1} << 20;  ///< bytes queued at most

    /// Called on the loop's thread.
    class Owner {
      public:
        /// The operator pressed an escape. Only from a terminal.
        virtual void input_command(EscapeFilter::Command command) noexcept = 0;
        /// Reading has ended: `error` is 0 at the end of the input, otherwise a positive errno.
        virtual void input_ended(int error) noexcept = 0;
        /// Reading has stopped after stop().
        virtual void input_settled() noexcept = 0;

      protected:
        Owner() = default;
        Owner(const Owner&) = default;
        Owner& operator=(const Owner&) = default;
        ~Owner() = default;
    };

    ConsoleInput(io::EventLoop& loop, Owner& owner);
    ConsoleInput(const ConsoleInput&) = delete;
    ConsoleInput& operator=(const ConsoleInput&) = delete;
    /// Reading must have ended.
    ~ConsoleInput();

    /// Who gets the bytes. Once, before start().
    void attach(CharacterDevice& device) noexcept { device_ = &device; }
    /// The device has room again. Any thread.
    void device_ready() noexcept;

    // The loop's thread only.
    /// Reads `fd` from now on. Escapes are interpreted when it is a `terminal`.
    void start(int fd, bool terminal) noexcept;
    /// Stops reading; idle() once it has stopped. What was read is still offered to the device.
    void stop() noexcept;
    /// The sender has gone: reads what it left, whether or not the device keeps up.
    void read_to_end() noexcept;
    [[nodiscard]] bool idle() const noexcept { return read_.idle() && poll_.idle(); }
    /// Whether input_ended() may still come.
    [[nodiscard]] bool active() const noexcept { return fd_ >= 0; }
    /// Bytes from a terminal that did not fit.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

  private:
    void read_on() noexcept;
    void take(std::span<const std::byte> bytes) noexcept;
    void queue(std::span<const std::byte> bytes) noexcept;
    void deliver() noexcept;
    void on_device_ready() noexcept;
    void on_read(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void on_readable(std::int32_t result, std::uint32_t flags, bool more) noexcept;

    io::EventLoop& loop_;
    Owner& owner_;
    CharacterDevice* device_ = nullptr;
    io::ReadOp read_{io::Completion::to<&ConsoleInput::on_read>(*this)};
    io::PollOp poll_{io::Completion::to<&ConsoleInput::on_readable>(*this)};
    io::Task ready_task_ = io::Task::to<&ConsoleInput::on_device_ready>(*this);
    std::atomic<bool> ready_posted_{false};

    int fd_ = -1;  ///< -1: ended or never started
    bool terminal_ = false;
    bool to_end_ = false;
    bool stopping_ = false;
    EscapeFilter escape_;
    ByteRing queue_;
    std::uint64_t dropped_ = 0;
    std::array<std::byte, 4096> buffer_{};
};

}  // namespace cxlvm
