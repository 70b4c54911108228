// SPDX-License-Identifier: Apache-2.0
#include "memory/host_memory.hpp"

#include <gtest/gtest.h>

#include "tests/memory/fake_memory.hpp"
#include "tests/memory/fake_tree.hpp"

namespace cxlvm::host {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

constexpr const char* kMeminfo =
    "MemTotal:        1048576 kB\n"
    "MemFree:           12345 kB\n"
    "MemAvailable:     524288 kB\n"
    "SwapCached:            9 kB\n"
    "SwapTotal:        262144 kB\n"
    "SwapFree:         131072 kB\n";

TEST(MemoryTotals, AreReadInBytes) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    const auto totals = memory_totals(tree.root());
    ASSERT_TRUE(totals);
    EXPECT_EQ(totals->ram, 1024 * kMiB);
    EXPECT_EQ(totals->available, 512 * kMiB);
    EXPECT_EQ(totals->swap, 256 * kMiB);
    EXPECT_EQ(totals->swap_free, 128 * kMiB);
}

TEST(MemoryTotals, AreAbsentWithoutTheFileAndZeroForUnknownFields) {
    const test::FakeTree tree;
    EXPECT_FALSE(memory_totals(tree.root()));
    EXPECT_FALSE(memory_limit(tree.root()));
    tree.add_file("/proc/meminfo", "MemTotalX: 5 kB\nMemTotal\nSwapTotal: many kB\n");
    ASSERT_TRUE(memory_totals(tree.root()));
    EXPECT_EQ(memory_totals(tree.root())->ram, 0U);
    EXPECT_EQ(memory_totals(tree.root())->swap, 0U);
    EXPECT_FALSE(memory_limit(tree.root()));
}

TEST(MemoryTotals, OfThisHostAreThere) {
    const auto totals = memory_totals();
    ASSERT_TRUE(totals);
    EXPECT_GT(totals->ram, 0U);
    EXPECT_GT(totals->available, 0U);
    EXPECT_LE(totals->available, totals->ram);
}

TEST(MemoryLimit, IsRamPlusSwapWithoutAControlGroup) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    EXPECT_EQ(memory_limit(tree.root()), 1280 * kMiB);
}

TEST(MemoryLimit, TheTightestGroupOfVersion2Counts) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    tree.add_file("/proc/self/cgroup", "0::/a/b/c\n");
    tree.add_file("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    EXPECT_FALSE(cgroup_memory_limit(tree.root()));
    EXPECT_EQ(memory_limit(tree.root()), 1280 * kMiB);
    tree.add_file("/sys/fs/cgroup/a/memory.max", "134217728\n");
    tree.add_file("/sys/fs/cgroup/a/b/memory.max", "268435456\n");
    EXPECT_EQ(cgroup_memory_limit(tree.root()), 128 * kMiB);
    EXPECT_EQ(memory_limit(tree.root()), 384 * kMiB) << "swap is on top";
}

TEST(MemoryLimit, AGroupOutsideTheMountFallsBackToItsRoot) {
    const test::FakeTree tree;
    tree.add_file("/proc/self/cgroup", "0::/kubepods/pod1\n");
    tree.add_file("/sys/fs/cgroup/memory.max", "1048576\n");
    EXPECT_EQ(cgroup_memory_limit(tree.root()), kMiB);
}

TEST(MemoryLimit, Version1IsFoundAmongOtherControllers) {
    const test::FakeTree tree;
    tree.add_file("/proc/self/cgroup",
                  "5:cpu,memoryx:/x\nbroken\n4:hugetlb,memory:/jobs/1\n0::/\n");
    tree.add_file("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n");
    tree.add_file("/sys/fs/cgroup/memory/jobs/1/memory.limit_in_bytes", "2097152\n");
    tree.add_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    EXPECT_EQ(cgroup_memory_limit(tree.root()), 2 * kMiB);
}

TEST(MemoryLimit, ALimitAboveTheRamDoesNotRaiseIt) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    tree.add_file("/proc/self/cgroup", "0::/\n");
    tree.add_file("/sys/fs/cgroup/memory.max", "9223372036854771712\n");
    EXPECT_EQ(memory_limit(tree.root()), 1280 * kMiB);
}

TEST(ObtainableMemory, IsWhatTheHostHasAndItsFreeSwapWhereNothingLimits) {
    const test::FakeTree tree;
    EXPECT_FALSE(obtainable_memory(tree.root()));
    tree.add_file("/proc/meminfo", kMeminfo);
    const std::uint64_t free =
        memory_totals(tree.root())->available + memory_totals(tree.root())->swap_free;
    EXPECT_EQ(obtainable_memory(tree.root()), free);
    tree.add_file("/proc/self/cgroup", "0::/a\n");
    tree.add_file("/sys/fs/cgroup/a/memory.max", "max\n");
    tree.add_file("/sys/fs/cgroup/a/memory.current", "123\n");
    EXPECT_EQ(obtainable_memory(tree.root()), free);
}

TEST(ObtainableMemory, IsWhatIsLeftOfTheTightestGroup) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    tree.add_file("/proc/self/cgroup", "0::/a/b\n");
    tree.add_file("/sys/fs/cgroup/a/b/memory.max", "67108864\n");
    tree.add_file("/sys/fs/cgroup/a/b/memory.current", "1048576\n");
    const std::uint64_t swap = memory_totals(tree.root())->swap_free;
    EXPECT_EQ(obtainable_memory(tree.root()), 63 * kMiB + swap);
    // The group above has a larger limit, and less of it left.
    tree.add_file("/sys/fs/cgroup/a/memory.max", "134217728\n");
    tree.add_file("/sys/fs/cgroup/a/memory.current", "125829120\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 8 * kMiB + swap);
    tree.add_file("/sys/fs/cgroup/a/memory.current", "234217728\n");
    EXPECT_EQ(obtainable_memory(tree.root()), swap) << "over its limit";
}

TEST(ObtainableMemory, CachedFilesOfAGroupDoNotCountAsUsed) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    const std::uint64_t swap = memory_totals(tree.root())->swap_free;
    tree.add_file("/proc/self/cgroup", "0::/a\n");
    tree.add_file("/sys/fs/cgroup/a/memory.max", "67108864\n");
    tree.add_file("/sys/fs/cgroup/a/memory.current", "67108864\n");
    tree.add_file("/sys/fs/cgroup/a/memory.stat",
                  "anon 9\ninactive_file 2097152\nactive_file 1048576\nactive_file_x 7\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 3 * kMiB + swap);
}

TEST(ObtainableMemory, Version1HasOtherNames) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    const std::uint64_t swap = memory_totals(tree.root())->swap_free;
    tree.add_file("/proc/self/cgroup", "4:memory:/jobs/1\n0::/\n");
    const std::string folder = "/sys/fs/cgroup/memory/jobs/1/";
    tree.add_file(folder + "memory.limit_in_bytes", "67108864\n");
    tree.add_file(folder + "memory.usage_in_bytes", "66060288\n");
    tree.add_file(folder + "memory.stat",
                  "inactive_file 99\ntotal_inactive_file 1048576\ntotal_active_file 0\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 2 * kMiB + swap);
    // Limits memory and swap together.
    tree.add_file(folder + "memory.memsw.limit_in_bytes", "68157440\n");
    tree.add_file(folder + "memory.memsw.usage_in_bytes", "66060288\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 3 * kMiB);
}

TEST(ObtainableMemory, AGroupsOwnLimitOfSwapCounts) {
    const test::FakeTree tree;
    tree.add_file("/proc/meminfo", kMeminfo);
    tree.add_file("/proc/self/cgroup", "0::/a\n");
    tree.add_file("/sys/fs/cgroup/a/memory.max", "67108864\n");
    tree.add_file("/sys/fs/cgroup/a/memory.current", "0\n");
    tree.add_file("/sys/fs/cgroup/a/memory.swap.max", "0\n");
    tree.add_file("/sys/fs/cgroup/a/memory.swap.current", "0\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 64 * kMiB);
    tree.add_file("/sys/fs/cgroup/a/memory.swap.max", "2097152\n");
    tree.add_file("/sys/fs/cgroup/a/memory.swap.current", "1048576\n");
    EXPECT_EQ(obtainable_memory(tree.root()), 65 * kMiB);
}

TEST(HugePagePool, ReservedPagesAreNotFree) {
    const test::FakeTree tree;
    EXPECT_FALSE(huge_page_pool(2 * kMiB, std::nullopt, tree.root()));
    const std::string folder = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    tree.add_file(folder + "nr_hugepages", "10\n");
    tree.add_file(folder + "free_hugepages", "7\n");
    tree.add_file(folder + "resv_hugepages", "3\n");
    const auto pool = huge_page_pool(2 * kMiB, std::nullopt, tree.root());
    ASSERT_TRUE(pool);
    EXPECT_EQ(pool->total, 10U);
    EXPECT_EQ(pool->free, 4U);
    EXPECT_EQ(pool->control, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

TEST(HugePagePool, OfANodeIsItsOwn) {
    const test::FakeTree tree;
    const std::string folder = "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/";
    tree.add_file(folder + "nr_hugepages", "4\n");
    tree.add_file(folder + "free_hugepages", "2\n");
    const auto pool = huge_page_pool(1024 * kMiB, 1, tree.root());
    ASSERT_TRUE(pool);
    EXPECT_EQ(pool->free, 2U);
    EXPECT_EQ(pool->control,
              "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages");
    EXPECT_FALSE(huge_page_pool(1024 * kMiB, 0, tree.root()));
}

TEST(ParseList, TakesNumbersAndRangesAndStopsAtNonsense) {
    using List = std::vector<unsigned>;
    EXPECT_EQ(parse_list(""), List{});
    EXPECT_EQ(parse_list("\n"), List{});
    EXPECT_EQ(parse_list("0\n"), List{0});
    EXPECT_EQ(parse_list("0-2,7\n"), (List{0, 1, 2, 7}));
    EXPECT_EQ(parse_list("3,x"), List{3});
    EXPECT_EQ(parse_list("3-"), List{});
    EXPECT_EQ(parse_list("5-4,6"), List{6});
    EXPECT_EQ(parse_list("0-4294967295").size(), 4096U);
}

TEST(MemoryNodes, AreThoseWithMemory) {
    const test::FakeTree tree;
    EXPECT_TRUE(memory_nodes(tree.root()).empty());
    tree.add_file("/sys/devices/system/node/has_memory", "0,2\n");
    EXPECT_EQ(memory_nodes(tree.root()), (std::vector<unsigned>{0, 2}));
}

TEST(BindToNode, ANodeThatNoKernelHasIsRefused) {
    const io::Mapping pages = test::anonymous_pages(1);
    EXPECT_EQ(bind_to_node(pages.bytes(), 100000), EINVAL);
}

TEST(FormatSize, IsExactWhereItCanBe) {
    EXPECT_EQ(format_size(0), "0 bytes");
    EXPECT_EQ(format_size(1023), "1023 bytes");
    EXPECT_EQ(format_size(4096), "4 KiB");
    EXPECT_EQ(format_size(512 * kMiB), "512 MiB");
    EXPECT_EQ(format_size(1536 * kMiB), "1.5 GiB");
    EXPECT_EQ(format_size(~std::uint64_t{0}), "16.0 EiB");
}

TEST(ReadText, IsNothingForWhatCannotBeRead) {
    const test::FakeTree tree;
    EXPECT_FALSE(read_text(tree.root() + "/absent"));
    EXPECT_FALSE(read_text(tree.root())) << "a folder";
    tree.add_file("/file", "12 apples");
    EXPECT_EQ(read_text(tree.root() + "/file"), "12 apples");
    EXPECT_EQ(read_number(tree.root() + "/file"), 12U);
    tree.add_file("/word", "max");
    EXPECT_FALSE(read_number(tree.root() + "/word"));
}

}  // namespace
}  // namespace cxlvm::host
