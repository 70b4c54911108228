// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

inline constexpr std::size_t kPage = 4096;

/// Locked memory of so many pages, of 1 in each byte, whose physical addresses are known; for
/// programs that drive a device by themselves. Needs root, and ends the program without.
template <unsigned kPageCount>
class PhysicalArea {
  public:
    PhysicalArea() {
        void* const base = ::mmap(nullptr, kPageCount * kPage, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
        if (base == MAP_FAILED) {
            die("mmap");
        }
        base_ = static_cast<unsigned char*>(base);
        std::memset(base_, 1, kPageCount * kPage);
        const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        for (unsigned page = 0; page < kPageCount; ++page) {
            std::uint64_t entry = 0;
            const auto index = (reinterpret_cast<std::uintptr_t>(base_) / kPage + page) * 8;
            if (::pread(pagemap, &entry, 8, static_cast<off_t>(index)) != 8 || entry >> 63 == 0) {
                die("/proc/self/pagemap");
            }
            physical_[page] = (entry & ((std::uint64_t{1} << 55) - 1)) * kPage;
        }
        ::close(pagemap);
    }
    PhysicalArea(const PhysicalArea&) = delete;
    PhysicalArea& operator=(const PhysicalArea&) = delete;
    ~PhysicalArea() { ::munmap(base_, kPageCount * kPage); }

    [[nodiscard]] unsigned char* page(unsigned number) const { return base_ + number * kPage; }
    [[nodiscard]] std::uint64_t physical(unsigned number) const { return physical_[number]; }

  private:
    [[noreturn]] static void die(const char* what) {
        std::perror(what);
        std::exit(1);
    }

    unsigned char* base_ = nullptr;
    std::array<std::uint64_t, kPageCount> physical_{};
};
