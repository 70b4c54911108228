// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/fd.hpp"
#include "io/mapping.hpp"

namespace cxlvm::vfio {

/// The kernel as this folder sees it: the one seam, where tests put a scripted fake. What it
/// answers is not trusted. Any thread; no call allocates but those that return a text or a list.
class Kernel {
  public:
    Kernel(const Kernel&) = delete;
    Kernel& operator=(const Kernel&) = delete;

    /// For reading and writing, close-on-exec. A descriptor, or an errno value, negated.
    virtual int open(const std::string& path) noexcept = 0;
    /// `argument` is a number or the address of a structure. What the request returns, or an errno
    /// value, negated; repeated when a signal interrupts it.
    virtual int ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept = 0;
    /// Bytes read or written, or an errno value, negated.
    virtual std::ptrdiff_t read(int fd, std::uint64_t offset,
                                std::span<std::byte> data) noexcept = 0;
    virtual std::ptrdiff_t write(int fd, std::uint64_t offset,
                                 std::span<const std::byte> data) noexcept = 0;
    /// Throws io::Error naming `what`.
    virtual io::Mapping map(const io::Mapping::Options& options, const std::string& what) = 0;

    /// The last component of what a symbolic link leads to; nothing when there is no such link.
    virtual std::optional<std::string> link_name(const std::string& path) = 0;
    /// Names in a folder, sorted; none when there is no such folder.
    virtual std::vector<std::string> names_in(const std::string& folder) = 0;
    /// The absolute path without links; nothing when there is no such file.
    virtual std::optional<std::string> real_path(const std::string& path) = 0;
    /// The folder of /sys/dev/char that stands for the character device behind `fd`.
    virtual std::optional<std::string> device_folder(int fd) = 0;

    template <typename Structure>
    int call(const io::Fd& fd, unsigned long request, Structure& structure) noexcept {
        return ioctl(fd.get(), request, reinterpret_cast<std::uintptr_t>(&structure));
    }
    int call(const io::Fd& fd, unsigned long request, unsigned long number) noexcept {
        return ioctl(fd.get(), request, number);
    }

  protected:
    Kernel() = default;
    ~Kernel() = default;
};

/// The host's.
[[nodiscard]] Kernel& host_kernel() noexcept;

}  // namespace cxlvm::vfio
