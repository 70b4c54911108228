// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cxlvm::io {

/// Move-only owner of one file descriptor; closes it on destruction.
class Fd {
  public:
    Fd() noexcept = default;
    /// Takes ownership of `fd`; a negative number means "none".
    explicit Fd(int fd) noexcept : fd_(fd < 0 ? -1 : fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset(std::exchange(other.fd_, -1));
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
    /// Gives the descriptor up without closing it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    /// Closes what is held, then takes ownership of `fd`.
    void reset(int fd = -1) noexcept;
    /// A second descriptor of the same open file, close-on-exec. Throws Error.
    [[nodiscard]] Fd duplicate() const;

  private:
    int fd_ = -1;
};

/// open(2) with O_CLOEXEC added. Throws Error naming `path`, and before it `option`, where it was
/// given by one, with the Fault and the remedy of io/open_error.hpp.
[[nodiscard]] Fd open_file(const std::string& path, int flags, unsigned mode = 0,
                           std::string_view option = {});

/// A copy, close-on-exec, of the descriptor that `path` names as "fd=N"; nothing when `path` does
/// not begin with "fd=". Throws Error naming `what`: Input when N is not the number of an open
/// descriptor.
[[nodiscard]] std::optional<Fd> open_descriptor(std::string_view path, const std::string& what);

/// Opens an ordinary file for reading, without ever waiting for somebody at the other end of what
/// turns out to be something else. Throws Error (Input) for that, and otherwise as open_file().
[[nodiscard]] Fd open_regular_file(const std::string& path, std::string_view option = {});
/// Throws Error (Input) naming `what`, unless an ordinary file is behind `fd`.
void require_regular_file(const Fd& fd, const std::string& what);

/// Size in bytes of the file or block device behind `fd`. Throws Error naming `what`.
[[nodiscard]] std::uint64_t file_size(const Fd& fd, const std::string& what);

}  // namespace cxlvm::io
