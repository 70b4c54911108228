// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "memory/guest_memory.hpp"
#include "memory/host_memory.hpp"

namespace cxlvm {

/// How a page is made resident.
enum class PopulateMethod : std::uint8_t {
    Kernel,  ///< MADV_POPULATE_WRITE (Linux 5.14), by touching where the kernel has none
    Touch,   ///< one write to each page that changes nothing
};

/// Bytes that can be had now; nothing when unknown.
using ObtainableMemory = std::function<std::optional<std::uint64_t>()>;

/// Makes memory resident on several threads.
struct PrefaultJob {
    std::vector<std::span<std::byte>> areas{};       ///< page aligned
    std::size_t page_size = 4096;                    ///< of the memory, for Touch
    std::size_t chunk_size = std::size_t{64} << 20;  ///< what a thread takes at once
    /// Asked before each chunk, by one thread at a time. None where a pool was reserved already:
    /// how much is free then says nothing.
    ObtainableMemory obtainable_memory = [] { return host::obtainable_memory(); };
    std::optional<unsigned> numa_node{};  ///< the threads run on this node's CPUs when it has any
    PopulateMethod method = PopulateMethod::Kernel;
    /// Called when memory ran out; may throw what says more than prefault() can.
    std::function<void()> explain{};
};

/// Throws Error (Host) when the host, or the control group, runs out of memory, which is noticed
/// before the kernel has to kill something: what all threads populate at a time never exceeds what
/// was obtainable. What the progress callback throws ends the work and is passed on.
void prefault(const PrefaultJob& job, const PrefaultConfig& config);

}  // namespace cxlvm
