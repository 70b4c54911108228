// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/allocation_counter.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> allocations{0};

}  // namespace

namespace cxlvm::test {

std::size_t allocation_count() noexcept {
    return allocations.load(std::memory_order_relaxed);
}

}  // namespace cxlvm::test

// The array and nothrow forms of the standard library come here too.
void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) {
        return memory;
    }
    throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
