// SPDX-License-Identifier: Apache-2.0
// What a trapped access costs before its handler runs: nanoseconds a lookup, by number of regions
// and of threads that look up at once.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "memory/address_space.hpp"

namespace cxlvm {
namespace {

class NullHandler final : public IoHandler {
  public:
    IoStatus read(std::uint64_t, std::span<std::byte>) noexcept override { return IoStatus::Ok; }
    IoStatus write(std::uint64_t, std::span<const std::byte>) noexcept override {
        return IoStatus::Ok;
    }
};

constexpr std::uint64_t kStride = 0x1000;
constexpr std::uint64_t kBase = 0xe000'0000;

// An address space with `count` regions, as many devices have: a page each, with gaps.
struct Space {
    explicit Space(std::size_t count) : space(count) {
        for (std::size_t i = 0; i < count; ++i) {
            regions.push_back(std::make_unique<Region>("bench", kStride, handler));
            if (space.map(*regions.back(), kBase + 2 * kStride * i)) {
                throw std::runtime_error("cannot map a region of the bench");
            }
        }
    }

    NullHandler handler;
    AddressSpace space;
    std::vector<std::unique_ptr<Region>> regions;
};

// Reads 4 bytes from a different region each time, in an order that branch prediction cannot learn.
void lookup(benchmark::State& state) {
    static std::unique_ptr<Space> shared;
    const auto count = static_cast<std::uint64_t>(state.range(0));
    if (state.thread_index() == 0) {
        shared = std::make_unique<Space>(count);
    }
    std::uint64_t random = 0x9e37'79b9'7f4a'7c15 + static_cast<std::uint64_t>(state.thread_index());
    std::array<std::byte, 4> data{};
    for ([[maybe_unused]] const auto _ : state) {
        random ^= random << 13;  // xorshift64
        random ^= random >> 7;
        random ^= random << 17;
        const std::uint64_t index = ((random >> 32) * count) >> 32;
        benchmark::DoNotOptimize(shared->space.read(kBase + 2 * kStride * index, data));
    }
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() == 0) {
        shared.reset();
    }
}
BENCHMARK(lookup)->Arg(1)->Arg(8)->Arg(64)->Arg(256)->ThreadRange(1, 2);

// The same with one region asked for again and again, as a guest does that drives one device.
void lookup_same(benchmark::State& state) {
    const auto count = static_cast<std::uint64_t>(state.range(0));
    Space space(count);
    std::array<std::byte, 4> data{};
    const std::uint64_t address = kBase + 2 * kStride * (count / 3);
    for ([[maybe_unused]] const auto _ : state) {
        benchmark::DoNotOptimize(space.space.read(address, data));
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lookup_same)->Arg(1)->Arg(8)->Arg(64)->Arg(256);

// A region that comes and goes, as a BAR does that the guest moves.
void map_and_unmap(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    Space space(count);
    Region& region = *space.regions[count / 2];
    const std::uint64_t base = region.base();
    for ([[maybe_unused]] const auto _ : state) {
        space.space.unmap(region);
        benchmark::DoNotOptimize(space.space.map(region, base));
    }
}
BENCHMARK(map_and_unmap)->Arg(64)->Arg(256);

}  // namespace
}  // namespace cxlvm
