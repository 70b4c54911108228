// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "io/event_loop.hpp"
#include "io/mutex.hpp"
#include "io/operations.hpp"
#include "vmm/console/byte_ring.hpp"

namespace cxlvm {

/// The way out of a console: a bounded queue that any thread fills and the loop's thread drains.
///
/// A writer holds the lock for a copy, never for a write(2), so the reader's speed is no concern of
/// a vCPU.
class ConsoleOutput {
  public:
    static constexpr std::size_t kCapacity = std::size_t{1} << 20;  ///< bytes queued at most
    static constexpr std::size_t kReplay = std::size_t{64} << 10;   ///< bytes kept without a peer

    /// Called on the loop's thread, with no lock held.
    class Owner {
      public:
        /// There is room again after write() took fewer bytes than given.
        virtual void output_room() noexcept = 0;
        /// The queue is empty, or writing has stopped after disconnect().
        virtual void output_settled() noexcept = 0;
        /// The peer takes nothing any more, for the reason `error` (a positive errno). Nothing is
        /// written until connect(), keep_latest() or discard().
        virtual void output_failed(int error) noexcept = 0;

      protected:
        Owner() = default;
        Owner(const Owner&) = default;
        Owner& operator=(const Owner&) = default;
        ~Owner() = default;
    };

    ConsoleOutput(io::EventLoop& loop, Owner& owner);
    ConsoleOutput(const ConsoleOutput&) = delete;
    ConsoleOutput& operator=(const ConsoleOutput&) = delete;
    /// Writing must have ended.
    ~ConsoleOutput();

    /// Queues what fits and returns how much; all of it when output is discarded. Any thread.
    std::size_t write(std::span<const std::byte> data) noexcept CXLVM_EXCLUDES(mutex_);
    /// Bytes that were discarded. Any thread.
    [[nodiscard]] std::uint64_t lost() const noexcept CXLVM_EXCLUDES(mutex_);

    // The loop's thread only. At first everything is held.
    /// Writes to `fd` from now on.
    void connect(int fd) noexcept;
    /// Stops writing and holds what is queued; idle() once it has stopped.
    void disconnect() noexcept;
    /// Keeps no more than the latest kReplay bytes, for a peer that comes later.
    void keep_latest() noexcept;
    /// Counts everything, queued now or written later, as lost.
    void discard() noexcept;
    [[nodiscard]] bool idle() const noexcept { return write_.idle() && poll_.idle(); }
    [[nodiscard]] bool empty() const noexcept CXLVM_EXCLUDES(mutex_);

  private:
    enum class Mode : std::uint8_t { Hold, Write, KeepLatest, Discard };

    void set_mode(Mode mode) noexcept CXLVM_EXCLUDES(mutex_);
    /// Does what the mode says with what is queued.
    void pump() noexcept CXLVM_EXCLUDES(mutex_);
    void on_posted() noexcept CXLVM_EXCLUDES(mutex_);
    void lose_locked(std::size_t count) noexcept CXLVM_REQUIRES(mutex_);
    void on_written(std::int32_t result, std::uint32_t flags, bool more) noexcept
        CXLVM_EXCLUDES(mutex_);
    void on_writable(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    void cancel_writing() noexcept;

    io::EventLoop& loop_;
    Owner& owner_;
    io::WriteOp write_{io::Completion::to<&ConsoleOutput::on_written>(*this)};
    io::PollOp poll_{io::Completion::to<&ConsoleOutput::on_writable>(*this)};
    io::Task pump_task_ = io::Task::to<&ConsoleOutput::on_posted>(*this);
    int fd_ = -1;
    bool stopping_ = false;  ///< disconnect() waits for the write to end

    mutable io::Mutex mutex_;
    ByteRing queue_ CXLVM_GUARDED_BY(mutex_);
    Mode mode_ CXLVM_GUARDED_BY(mutex_) = Mode::Hold;
    bool posted_ CXLVM_GUARDED_BY(mutex_) = false;    ///< pump_task_ has not run yet
    bool writing_ CXLVM_GUARDED_BY(mutex_) = false;   ///< a completion will look at the queue
    bool was_full_ CXLVM_GUARDED_BY(mutex_) = false;  ///< a writer waits for room
    std::uint64_t lost_ CXLVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace cxlvm
