// SPDX-License-Identifier: Apache-2.0
#include "io/mapping.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "io/bits.hpp"
#include "io/error.hpp"

namespace cxlvm::io {

namespace {

void* map_or_throw(void* address, std::size_t size, const Mapping::Options& options, int flags,
                   const std::string& what) {
    void* const result = ::mmap(address, size, options.protection, options.flags | flags,
                                options.fd, static_cast<off_t>(options.offset));
    if (result == MAP_FAILED) {  // NOLINT(cppcoreguidelines-pro-type-cstyle-cast): libc's macro
        throw_errno("mmap " + what);
    }
    return result;
}

}  // namespace

std::size_t page_size() noexcept {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

Mapping::Mapping(const Options& options, const std::string& what) {
    const std::size_t size = align_up(options.size, page_size());
    if (size == 0 || size < options.size) {
        throw_input("mmap " + what + ": unusable size");
    }
    if (options.alignment <= page_size()) {
        void* const address = map_or_throw(nullptr, size, options, 0, what);
        bytes_ = {static_cast<std::byte*>(address), options.size};
        return;
    }
    // Reserve enough to hold an aligned range, map over it, give the rest back.
    check(is_power_of_two(options.alignment), "Mapping: alignment is not a power of two");
    const Options reservation{.protection = PROT_NONE,
                              .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE};
    const std::size_t reserved_size = size + options.alignment;
    auto* const reserved =
        static_cast<std::byte*>(map_or_throw(nullptr, reserved_size, reservation, 0, what));
    const auto base = reinterpret_cast<std::uintptr_t>(reserved);
    const std::size_t head = align_up(base, options.alignment) - base;
    void* address = nullptr;
    try {
        address = map_or_throw(reserved + head, size, options, MAP_FIXED, what);
    } catch (...) {
        ::munmap(reserved, reserved_size);
        throw;
    }
    if (head != 0) {
        ::munmap(reserved, head);
    }
    if (const std::size_t tail = reserved_size - head - size; tail != 0) {
        ::munmap(reserved + head + size, tail);
    }
    bytes_ = {static_cast<std::byte*>(address), options.size};
}

void Mapping::unmap() noexcept {
    if (!bytes_.empty()) {
        ::munmap(bytes_.data(), align_up(bytes_.size(), page_size()));
        bytes_ = {};
    }
}

}  // namespace cxlvm::io
