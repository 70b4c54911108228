// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "io/fd.hpp"

namespace cxlvm::cli {

/// A file that holds this process's id for as long as this object lives.
///
/// The file is locked (flock(2)), so at most one process holds it, and a file whose owner died
/// without removing it is told from one in use: nobody holds its lock.
class Pidfile {
  public:
    /// Makes and locks `path`, or takes a stale one over. Throws io::Error (Fault::Input) when a
    /// live process holds it, naming that process, and when the file is not a pidfile.
    explicit Pidfile(const std::string& path);
    Pidfile(const Pidfile&) = delete;
    Pidfile& operator=(const Pidfile&) = delete;
    /// Removes the file.
    ~Pidfile();

    /// The dead process that had left the file behind, if one had.
    [[nodiscard]] std::optional<pid_t> stale_owner() const noexcept { return stale_owner_; }

  private:
    std::string path_;
    io::Fd file_;
    std::optional<pid_t> stale_owner_;
};

}  // namespace cxlvm::cli
