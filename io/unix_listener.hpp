// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "io/fd.hpp"

namespace cxlvm::io {

/// Bytes of a unix socket's path, at most.
inline constexpr std::size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

/// The address of the socket at `path`; nothing when that is empty or too long.
[[nodiscard]] std::optional<sockaddr_un> unix_address(std::string_view path) noexcept;

/// A listening stream socket in the file system, with mode 0600. Its file is removed with it,
/// unless another one stands there by then.
///
/// A file that a dead process left is taken over, a socket somebody listens on is not. Two programs
/// that start at once on one path do not take each other's away.
class UnixListener {
  public:
    struct Config {
        std::string path{};
        std::string_view option{};  ///< that the path was given by, such as "--serial"
        int backlog = 4;
    };

    /// Throws Error naming the option and the path: Input for a path that is too long, in use, no
    /// socket, or where none can be made; Host otherwise.
    explicit UnixListener(const Config& config);
    UnixListener(const UnixListener&) = delete;
    UnixListener& operator=(const UnixListener&) = delete;
    ~UnixListener();

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
    Fd socket_;
    struct stat identity_ {};  ///< of the socket's file: another one is not ours to remove
};

}  // namespace cxlvm::io
