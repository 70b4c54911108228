// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/fd.hpp"

namespace cxlvm::virtio::entropy {

/// Where the random bytes come from besides the host's kernel: nowhere, or a character device. What
/// such a device gives takes its time, and is read by whoever owns this.
class EntropySource {
  public:
    /// `path` is that of a character device such as /dev/hwrng, "fd=N" for a descriptor that is
    /// open for reading, or empty for none. Throws Error naming --rng.
    explicit EntropySource(const std::string& path);

    /// -1 when there is no device.
    [[nodiscard]] int fd() const noexcept { return file_.get(); }

  private:
    io::Fd file_;
};

/// Fills `bytes` from the kernel's generator (getrandom(2)), which never runs dry. Any thread.
/// Returns how many were filled; fewer than asked for when the host cannot.
[[nodiscard]] std::size_t fill_random(std::span<std::byte> bytes) noexcept;

}  // namespace cxlvm::virtio::entropy
