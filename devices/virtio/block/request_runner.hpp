// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "devices/virtio/block/disk_file.hpp"
#include "devices/virtio/block/request.hpp"
#include "io/event_loop.hpp"
#include "io/file_operation.hpp"
#include "io/mapping.hpp"

namespace cxlvm::virtio::block {

/// Zeros to be written where the host cannot make them by itself. One page of the host's stands
/// behind all of them.
class Zeros {
  public:
    Zeros();

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return mapping_.bytes(); }

  private:
    io::Mapping mapping_;
};

/// Carries out requests, one at a time, on guest memory as it is: nothing is copied. What the
/// kernel does in part is continued. The loop's thread.
class RequestRunner {
  public:
    /// Told of each request that was in flight. May start the runner again.
    class Owner {
      public:
        /// `error` is the errno value behind an IoError, or 0.
        virtual void request_done(RequestRunner& runner, RequestStatus status,
                                  int error) noexcept = 0;

      protected:
        Owner() = default;
        Owner(const Owner&) = default;
        Owner& operator=(const Owner&) = default;
        ~Owner() = default;
    };

    /// All outlive this, which must not be destroyed while a request is in flight.
    RequestRunner(io::EventLoop& loop, const DiskFile& disk, const Zeros& zeros,
                  Owner& owner) noexcept;
    RequestRunner(const RequestRunner&) = delete;
    RequestRunner& operator=(const RequestRunner&) = delete;
    ~RequestRunner() = default;

    /// What start() carries out; to be changed while idle.
    [[nodiscard]] Request& request() noexcept { return request_; }
    [[nodiscard]] bool idle() const noexcept { return operation_.idle(); }

    /// Does what parse() found right. With `write_through` what is written is on the disk when the
    /// request is done. Returns how it ended, when that took no I/O; else the owner is told later.
    [[nodiscard]] std::optional<RequestStatus> start(bool write_through) noexcept;
    /// What became of a request, in words.
    struct Failure {
        const char* what;                     ///< "read", "flush", ...
        std::optional<std::uint64_t> offset;  ///< in bytes, unless it concerns the whole disk
        const char* why;
    };
    /// Of the request that just ended as an IoError with `error`.
    [[nodiscard]] Failure failure(int error) const noexcept;
    /// Asks for an early end; the owner is told as ever.
    void cancel() noexcept { loop_.cancel(operation_); }

  private:
    static constexpr std::size_t kZeroSegments = 16;

    /// Starts what is to be done next; the request's end when nothing is.
    [[nodiscard]] std::optional<RequestStatus> advance() noexcept;
    [[nodiscard]] std::optional<RequestStatus> sync_or_end() noexcept;
    void start_transfer() noexcept;
    void start_range() noexcept;
    void start_zeros(const ByteRange& range) noexcept;
    /// Takes a result in; false when it ends the request as an error.
    [[nodiscard]] bool take(std::int32_t result) noexcept;
    [[nodiscard]] bool take_range(std::int32_t result) noexcept;
    void on_result(std::int32_t result, std::uint32_t flags, bool more) noexcept;
    /// The descriptor that takes a transfer of these segments.
    [[nodiscard]] int descriptor(std::span<const iovec> segments,
                                 std::uint64_t offset) const noexcept;

    // Wiring.
    io::EventLoop& loop_;
    const DiskFile& disk_;
    const Zeros& zeros_;
    Owner& owner_;
    // State of the request.
    Request request_;
    bool write_through_ = false;
    bool syncing_ = false;
    bool writes_zeros_ = false;  ///< because the host cannot make them here
    std::size_t range_ = 0;      ///< index of the one in work
    std::uint64_t range_done_ = 0;
    std::array<iovec, kZeroSegments> zero_segments_{};
    io::FileOp operation_{io::Completion::to<&RequestRunner::on_result>(*this)};
};

}  // namespace cxlvm::virtio::block
