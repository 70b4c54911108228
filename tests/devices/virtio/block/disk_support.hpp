// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "devices/virtio/block/disk_file.hpp"
#include "io/fd.hpp"
#include "tests/support/serve_until.hpp"

namespace cxlvm::test {

/// A file without a name, every sector of which holds a letter of its own.
class DiskImage {
  public:
    explicit DiskImage(std::uint64_t sectors)
        : file_(io::open_file("/tmp", O_TMPFILE | O_RDWR, 0600)) {
        std::string text;
        for (std::uint64_t sector = 0; sector < sectors; ++sector) {
            text.append(512, letter(sector));
        }
        put(0, text);
    }

    static char letter(std::uint64_t sector) { return static_cast<char>('a' + sector % 26); }
    [[nodiscard]] virtio::block::DiskConfig config() const {
        return {.path = "fd=" + std::to_string(file_.get())};
    }
    [[nodiscard]] int fd() const { return file_.get(); }
    void put(std::uint64_t offset, const std::string& text) const {
        ASSERT_EQ(::pwrite(file_.get(), text.data(), text.size(), static_cast<off_t>(offset)),
                  static_cast<ssize_t>(text.size()));
    }
    [[nodiscard]] std::string get(std::uint64_t offset, std::size_t size) const {
        std::string text(size, '?');
        const ssize_t count = ::pread(file_.get(), text.data(), size, static_cast<off_t>(offset));
        text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return text;
    }

  private:
    io::Fd file_;
};

}  // namespace cxlvm::test
