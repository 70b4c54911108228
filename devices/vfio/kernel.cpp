// SPDX-License-Identifier: Apache-2.0
#include "devices/vfio/kernel.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "io/error.hpp"

namespace cxlvm::vfio {

namespace {

namespace fs = std::filesystem;

class HostKernel final : public Kernel {
  public:
    int open(const std::string& path) noexcept override {
        const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    int ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept override {
        const int result = io::retry_eintr([&] { return ::ioctl(fd, request, argument); });
        return result < 0 ? -errno : result;
    }
    std::ptrdiff_t read(int fd, std::uint64_t offset, std::span<std::byte> data) noexcept override {
        const auto result = io::retry_eintr(
            [&] { return ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
        return result < 0 ? -errno : result;
    }
    std::ptrdiff_t write(int fd, std::uint64_t offset,
                         std::span<const std::byte> data) noexcept override {
        const auto result = io::retry_eintr(
            [&] { return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset)); });
        return result < 0 ? -errno : result;
    }
    io::Mapping map(const io::Mapping::Options& options, const std::string& what) override {
        return {options, what};
    }
    std::optional<std::string> link_name(const std::string& path) override {
        std::error_code error;
        const fs::path target = fs::read_symlink(path, error);
        return error ? std::nullopt : std::optional(target.filename().string());
    }
    std::vector<std::string> names_in(const std::string& folder) override {
        std::vector<std::string> names;
        std::error_code error;
        for (fs::directory_iterator each(folder, error), end; !error && each != end;
             each.increment(error)) {
            names.push_back(each->path().filename().string());
        }
        std::ranges::sort(names);
        return names;
    }
    std::optional<std::string> real_path(const std::string& path) override {
        std::error_code error;
        const fs::path real = fs::canonical(path, error);
        return error ? std::nullopt : std::optional(real.string());
    }
    std::optional<std::string> device_folder(int fd) override {
        struct stat status {};
        if (::fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode)) {
            return std::nullopt;
        }
        return real_path(
            fmt::format("/sys/dev/char/{}:{}", major(status.st_rdev), minor(status.st_rdev)));
    }
};

}  // namespace

Kernel& host_kernel() noexcept {
    static HostKernel kernel;  // no state
    return kernel;
}

}  // namespace cxlvm::vfio
