// SPDX-License-Identifier: Apache-2.0
#include "memory/prefault.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "tests/memory/fake_memory.hpp"

namespace cxlvm {
namespace {

using test::kPage;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::chrono::milliseconds kAtOnce{0};

std::size_t resident_pages(std::span<std::byte> bytes) {
    std::vector<unsigned char> resident(bytes.size() / kPage);
    EXPECT_EQ(::mincore(bytes.data(), bytes.size(), resident.data()), 0);
    return static_cast<std::size_t>(
        std::ranges::count_if(resident, [](unsigned char page) { return (page & 1) != 0; }));
}

class EachMethod : public ::testing::TestWithParam<PopulateMethod> {};

TEST_P(EachMethod, MakesEveryPageResidentAndKeepsWhatIsThere) {
    const io::Mapping first = test::anonymous_pages(100);
    const io::Mapping second = test::anonymous_pages(33);
    first.bytes()[5 * kPage] = std::byte{0x77};
    PrefaultJob job;
    job.areas = {first.bytes(), second.bytes()};
    job.chunk_size = 8 * kPage;  // does not divide the areas
    job.method = GetParam();
    EXPECT_EQ(resident_pages(second.bytes()), 0U);
    for (const unsigned threads : {1U, 3U, 0U}) {
        prefault(job, {.threads = threads, .progress = {}});
        EXPECT_EQ(resident_pages(first.bytes()), 100U);
        EXPECT_EQ(resident_pages(second.bytes()), 33U);
    }
    EXPECT_EQ(first.bytes()[5 * kPage], std::byte{0x77});
}

INSTANTIATE_TEST_SUITE_P(Prefault, EachMethod,
                         ::testing::Values(PopulateMethod::Kernel, PopulateMethod::Touch));

TEST(Prefault, OfNothingIsDoneAtOnce) {
    prefault({}, {.threads = 4, .progress = {}});
}

TEST(Prefault, ProgressComesFromTheCallingThreadAndNeverGoesBack) {
    const io::Mapping pages = test::anonymous_pages(256);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = kPage;
    const auto caller = std::this_thread::get_id();
    std::uint64_t last = 0;
    int calls = 0;
    prefault(job, {.threads = 2,
                   .progress =
                       [&](std::uint64_t done, std::uint64_t total) {
                           EXPECT_EQ(std::this_thread::get_id(), caller);
                           EXPECT_EQ(total, 256 * kPage);
                           EXPECT_LE(last, done);
                           EXPECT_LE(done, total);
                           last = done;
                           ++calls;
                       },
                   .progress_interval = kAtOnce});
    EXPECT_GT(calls, 0);
    EXPECT_EQ(last, 256 * kPage) << "the last call reports the end";
}

TEST(Prefault, SaysNothingWhenItIsQuick) {
    const io::Mapping pages = test::anonymous_pages(4);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    prefault(job, {.threads = 1,
                   .progress = [](std::uint64_t, std::uint64_t) { FAIL(); },
                   .progress_interval = std::chrono::hours(1)});
}

TEST(Prefault, WhatTheCallbackThrowsEndsTheWork) {
    const io::Mapping pages = test::anonymous_pages(512);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = kPage;
    EXPECT_THROW(
        prefault(job, {.threads = 2,
                       .progress = [](std::uint64_t,
                                      std::uint64_t) { throw std::runtime_error("interrupted"); },
                       .progress_interval = kAtOnce}),
        std::runtime_error);
}

/// The signals that a thread of this process blocks, as /proc shows them.
std::vector<std::uint64_t> blocked_signals_of_other_threads() {
    std::vector<std::uint64_t> masks;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        if (task.path().filename() == std::to_string(::gettid())) {
            continue;
        }
        std::ifstream status(task.path() / "status");
        for (std::string word; status >> word;) {
            if (word == "SigBlk:") {
                masks.push_back(0);
                status >> std::hex >> masks.back();
            }
        }
    }
    return masks;
}

TEST(Prefault, ItsThreadsTakeNoneOfTheProgramsSignals) {
    const io::Mapping pages = test::anonymous_pages(4096);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = kPage;
    std::vector<std::uint64_t> masks;
    prefault(job, {.threads = 2,
                   .progress =
                       [&](std::uint64_t, std::uint64_t) {
                           if (masks.empty()) {
                               masks = blocked_signals_of_other_threads();
                           }
                       },
                   .progress_interval = kAtOnce});
    ASSERT_FALSE(masks.empty());
    for (const std::uint64_t mask : masks) {
        for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGALRM, SIGCHLD}) {
            EXPECT_NE(mask & std::uint64_t{1} << (signal - 1), 0U) << signal;
        }
    }
}

TEST(Prefault, MemoryThatCannotBePopulatedIsAnErrorAndNotASignal) {
    const io::Mapping pages = test::anonymous_pages(16);
    ASSERT_EQ(::munmap(pages.bytes().data() + 8 * kPage, kPage), 0);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = 4 * kPage;
    try {
        prefault(job, {.threads = 2, .progress = {}});
        FAIL() << "did not throw";
    } catch (const io::Error& error) {
        EXPECT_EQ(error.code(), std::errc::not_enough_memory);
        EXPECT_EQ(error.fault(), io::Fault::Host);
    }
}

TEST(Prefault, MoreThanIsFreeIsAnErrorBeforeTheKernelKillsSomething) {
    const auto totals = host::memory_totals();
    ASSERT_TRUE(totals);
    // Nothing is touched: the look at what is free comes first.
    const std::uint64_t size = (totals->ram + totals->swap) / kPage * kPage + kPage;
    const io::Mapping pages({.size = size,
                             .protection = PROT_READ | PROT_WRITE,
                             .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE},
                            "more than there is");
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = size;
    EXPECT_THROW(prefault(job, {.threads = 1, .progress = {}}), io::Error);
    EXPECT_EQ(resident_pages(pages.bytes().first(kPage)), 0U);
}

/// A host that has `size` bytes more than what of `bytes` is resident.
ObtainableMemory host_with(std::uint64_t size, std::span<std::byte> bytes) {
    return [=]() -> std::optional<std::uint64_t> {
        const std::uint64_t used = resident_pages(bytes) * kPage;
        return size - std::min(size, used);
    };
}

TEST(Prefault, ThreadsTogetherTakeNoMoreThanThereIs) {
    // So large that a chunk takes longer than the start of all threads.
    constexpr std::size_t kChunkPages = 8192;
    const io::Mapping pages = test::anonymous_pages(4 * kChunkPages);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = kChunkPages * kPage;
    // A page less than two chunks: each thread alone finds room until the first chunk is resident.
    job.obtainable_memory = host_with((2 * kChunkPages - 1) * kPage, pages.bytes());
    EXPECT_THROW(prefault(job, {.threads = 4, .progress = {}}), io::Error);
    EXPECT_EQ(resident_pages(pages.bytes()), kChunkPages);
}

TEST(Prefault, TheLastChunkIsServedThoughOthersAreUnderWay) {
    constexpr std::size_t kChunk = 64 * kPage;
    const io::Mapping pages = test::anonymous_pages(std::size_t{16} * 64);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.chunk_size = kChunk;
    job.obtainable_memory = host_with(pages.bytes().size(), pages.bytes());
    prefault(job, {.threads = 8, .progress = {}});
    EXPECT_EQ(resident_pages(pages.bytes()), 16U * 64);
}

TEST(Prefault, AHostThatDoesNotSayWhatItHasIsNotWatched) {
    const io::Mapping pages = test::anonymous_pages(16);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    job.obtainable_memory = [] { return std::optional<std::uint64_t>(); };
    prefault(job, {.threads = 1, .progress = {}});
    job.obtainable_memory = nullptr;
    prefault(job, {.threads = 1, .progress = {}});
    EXPECT_EQ(resident_pages(pages.bytes()), 16U);
}

TEST(Prefault, GuestMemoryOfEveryKindBecomesResident) {
    for (const PageBacking backing :
         {PageBacking::Shared, PageBacking::Anonymous, PageBacking::Transparent}) {
        GuestMemoryConfig config;
        config.size = 8 * kMiB;
        config.backing = backing;
        config.hole_base = Gpa(6 * kMiB);
        const GuestMemory memory(config);
        ASSERT_EQ(memory.blocks().size(), 2U);
        memory.prefault({});
        for (const GuestMemory::Block& block : memory.blocks()) {
            EXPECT_EQ(resident_pages(block.host), block.host.size() / kPage);
        }
    }
}

TEST(Prefault, WorksOnTheCpusOfANode) {
    const io::Mapping pages = test::anonymous_pages(16);
    PrefaultJob job;
    job.areas = {pages.bytes()};
    for (const unsigned node : {0U, 999U}) {  // one that exists nearly everywhere, one nowhere
        job.numa_node = node;
        prefault(job, {.threads = 1, .progress = {}});
        EXPECT_EQ(resident_pages(pages.bytes()), 16U);
    }
}

}  // namespace
}  // namespace cxlvm
