// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/byte_ring.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "io/error.hpp"

namespace cxlvm {

ByteRing::ByteRing(std::size_t capacity, const std::string& what)
    : memory_({.size = capacity,
               .protection = PROT_READ | PROT_WRITE,
               .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
              what) {
    // Most of it is never touched. Next to other memory it may become part of a huge page, which is
    // cleared as a whole at the first byte. Fails where there are none, which is as good.
    static_cast<void>(::madvise(memory_.bytes().data(), memory_.size(), MADV_NOHUGEPAGE));
}

std::size_t ByteRing::append(std::span<const std::byte> data) noexcept {
    const std::span<std::byte> memory = memory_.bytes();
    const std::size_t count = std::min(data.size(), room());
    const std::size_t end = (start_ + size_) % memory.size();
    const std::size_t until_top = std::min(count, memory.size() - end);
    std::ranges::copy(data.first(until_top), memory.subspan(end).begin());
    std::ranges::copy(data.subspan(until_top, count - until_top), memory.begin());
    size_ += count;
    return count;
}

std::span<const std::byte> ByteRing::front() const noexcept {
    return memory_.bytes().subspan(start_, std::min(size_, memory_.size() - start_));
}

void ByteRing::consume(std::size_t count) noexcept {
    io::check(count <= size_, "ByteRing: more consumed than there is");
    size_ -= count;
    start_ = size_ == 0 ? 0 : (start_ + count) % memory_.size();
}

}  // namespace cxlvm
