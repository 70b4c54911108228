// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "io/fd.hpp"

namespace cxlvm::io {

/// Move-only owner of one mmap(2). Declare the Fd before its Mappings in a class.
class Mapping {
  public:
    struct Options {
        std::size_t size = 0;       ///< bytes; rounded up to the page size by the kernel
        int protection = 0;         ///< PROT_*
        int flags = 0;              ///< MAP_*
        int fd = -1;                ///< -1 with MAP_ANONYMOUS
        std::uint64_t offset = 0;   ///< of the file, page aligned
        std::size_t alignment = 0;  ///< of the address, a power of two; 0: the page size
    };

    Mapping() noexcept = default;
    /// Maps; `what` names the object in the Error that a failure throws.
    Mapping(const Options& options, const std::string& what);
    Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept {
        if (this != &other) {
            unmap();
            bytes_ = std::exchange(other.bytes_, {});
        }
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { unmap(); }

    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    [[nodiscard]] explicit operator bool() const noexcept { return !bytes_.empty(); }

  private:
    void unmap() noexcept;

    std::span<std::byte> bytes_;
};

/// The host's page size in bytes.
[[nodiscard]] std::size_t page_size() noexcept;

}  // namespace cxlvm::io
