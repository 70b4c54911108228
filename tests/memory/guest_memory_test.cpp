// SPDX-License-Identifier: Apache-2.0
#include "memory/guest_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "io/error.hpp"
#include "memory/host_memory.hpp"
#include "tests/support/allocation_counter.hpp"

namespace cxlvm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kTop = ~std::uint64_t{0};

// 5 pages: 3 below a hole, 2 at 64 KiB.
GuestMemoryConfig split_config(PageBacking backing = PageBacking::Anonymous) {
    return {.size = 5 * kPage,
            .backing = backing,
            .numa_node = std::nullopt,
            .hole_base = Gpa(3 * kPage),
            .high_base = Gpa(16 * kPage)};
}

GuestMemoryConfig plain_config(std::uint64_t size, PageBacking backing) {
    GuestMemoryConfig config;
    config.size = size;
    config.backing = backing;
    return config;
}

io::Error error_of(const GuestMemoryConfig& config) {
    try {
        const GuestMemory memory(config);
    } catch (const io::Error& error) {
        return error;
    }
    ADD_FAILURE() << "did not throw";
    return {{}, "no error"};
}

bool says(const io::Error& error, const std::string& text) {
    return std::string(error.what()).find(text) != std::string::npos;
}

// The flags that the kernel shows for the mapping at `address` (proc(5), VmFlags).
std::string vm_flags(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    std::string line;
    bool here = false;
    while (std::getline(smaps, line)) {
        std::uintptr_t from = 0;
        std::uintptr_t to = 0;
        char dash = 0;
        std::istringstream range(line);
        if (range >> std::hex >> from >> dash >> to && dash == '-') {
            const auto wanted = reinterpret_cast<std::uintptr_t>(address);
            here = from <= wanted && wanted < to;
        } else if (here && line.starts_with("VmFlags:")) {
            return line + " ";
        }
    }
    return {};
}

class EachBacking : public ::testing::TestWithParam<PageBacking> {};

TEST_P(EachBacking, IsZeroWritableAndSplitRoundTheHole) {
    const GuestMemory memory(split_config(GetParam()));
    ASSERT_EQ(memory.blocks().size(), 2U);
    EXPECT_EQ(memory.size(), 5 * kPage);
    EXPECT_EQ(memory.backing(), GetParam());
    EXPECT_EQ(memory.blocks()[0].range, GpaRange::of(Gpa(0), 3 * kPage));
    EXPECT_EQ(memory.blocks()[1].range, GpaRange::of(Gpa(16 * kPage), 2 * kPage));
    EXPECT_EQ(memory.last(), Gpa(18 * kPage - 1));
    for (const GuestMemory::Block& block : memory.blocks()) {
        EXPECT_EQ(block.host.size(), block.range.size());
        for (std::byte& byte : block.host) {
            ASSERT_EQ(byte, std::byte{0});
            byte = std::byte{0xa5};
        }
    }
}

TEST_P(EachBacking, IsAlignedForLargePages) {
    const GuestMemory memory(split_config(GetParam()));
    for (const GuestMemory::Block& block : memory.blocks()) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.host.data()) % (2 * kMiB), 0U);
    }
}

TEST_P(EachBacking, IsLeftOutOfCoreDumps) {
    const GuestMemory memory(split_config(GetParam()));
    for (const GuestMemory::Block& block : memory.blocks()) {
        EXPECT_NE(vm_flags(block.host.data()).find(" dd "), std::string::npos);
    }
}

INSTANTIATE_TEST_SUITE_P(GuestMemory, EachBacking,
                         ::testing::Values(PageBacking::Shared, PageBacking::Anonymous,
                                           PageBacking::Transparent));

TEST(GuestMemory, SharedMemoryIsOneSealedFileThatHoldsBothBlocks) {
    const GuestMemory memory(split_config(PageBacking::Shared));
    const GuestMemory::Block& low = memory.blocks()[0];
    const GuestMemory::Block& high = memory.blocks()[1];
    ASSERT_GE(low.fd, 0);
    EXPECT_EQ(low.fd, high.fd);
    EXPECT_EQ(low.fd_offset, 0U);
    EXPECT_EQ(high.fd_offset, 3 * kPage);
    const int seals = ::fcntl(low.fd, F_GET_SEALS);
    EXPECT_EQ(seals & (F_SEAL_SHRINK | F_SEAL_GROW), F_SEAL_SHRINK | F_SEAL_GROW);
    EXPECT_EQ(seals & F_SEAL_WRITE, 0);
    EXPECT_NE(::ftruncate(low.fd, 0), 0);
    EXPECT_EQ(::fcntl(low.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);

    low.host[1] = std::byte{1};
    high.host[2] = std::byte{2};
    std::byte seen{};
    ASSERT_EQ(::pread(low.fd, &seen, 1, 1), 1);
    EXPECT_EQ(seen, std::byte{1});
    ASSERT_EQ(::pread(low.fd, &seen, 1, 3 * kPage + 2), 1);
    EXPECT_EQ(seen, std::byte{2});
}

TEST(GuestMemory, AnonymousMemoryHasNoFile) {
    const GuestMemory memory(split_config());
    for (const GuestMemory::Block& block : memory.blocks()) {
        EXPECT_EQ(block.fd, -1);
        EXPECT_EQ(block.fd_offset, 0U);
    }
}

TEST(GuestMemory, TransparentMemoryAsksForHugePages) {
    const GuestMemory transparent(plain_config(4 * kMiB, PageBacking::Transparent));
    EXPECT_NE(vm_flags(transparent.blocks()[0].host.data()).find(" hg "), std::string::npos);
    const GuestMemory anonymous(plain_config(4 * kMiB, PageBacking::Anonymous));
    EXPECT_EQ(vm_flags(anonymous.blocks()[0].host.data()).find(" hg "), std::string::npos);
}

TEST(GuestMemory, MuchMemoryCostsNothingUntilItIsTouched) {
    const std::uint64_t size = *host::memory_limit() / 2 / kPage * kPage;
    const GuestMemory memory(plain_config(size, PageBacking::Anonymous));
    EXPECT_EQ(memory.size(), size);
    EXPECT_TRUE(memory.store(memory.last(), std::byte{1}));
}

TEST(GuestMemory, SpansAreGivenExactlyWithinOneBlock) {
    const GuestMemory memory(split_config());
    const std::array<std::uint64_t, 12> bases{
        0,          1,          3 * kPage - 1,  3 * kPage,  16 * kPage - 1, 16 * kPage,
        17 * kPage, 18 * kPage, 18 * kPage - 1, kTop - 100, kTop - 1,       kTop};
    const std::array<std::uint64_t, 12> sizes{0,         1,          2,         kPage,
                                              2 * kPage, 3 * kPage,  5 * kPage, 18 * kPage,
                                              kTop / 2,  kTop - 100, kTop - 1,  kTop};
    for (const std::uint64_t base : bases) {
        for (const std::uint64_t size : sizes) {
            const bool low = size != 0 && base < 3 * kPage && size <= 3 * kPage - base;
            const bool high =
                size != 0 && base >= 16 * kPage && base < 18 * kPage && size <= 18 * kPage - base;
            const auto bytes = memory.span(Gpa(base), size);
            ASSERT_EQ(bytes.has_value(), low || high) << base << " + " << size;
            if (bytes) {
                EXPECT_EQ(bytes->size(), size);
                const auto& block = memory.blocks()[low ? 0 : 1];
                EXPECT_EQ(bytes->data(), block.host.data() + (base - block.range.base().value()));
            }
        }
    }
}

TEST(GuestMemory, ValuesAreLoadedAndStoredAtAnyAlignmentUpToTheLastByte) {
    const GuestMemory memory(split_config());
    for (std::uint64_t address = 3 * kPage - 8; address <= 3 * kPage; ++address) {
        const bool fits = address + 4 <= 3 * kPage;
        EXPECT_EQ(memory.store(Gpa(address), std::uint32_t{0x1234'5678}), fits) << address;
        EXPECT_EQ(memory.load<std::uint32_t>(Gpa(address)).has_value(), fits) << address;
        if (fits) {
            EXPECT_EQ(memory.load<std::uint32_t>(Gpa(address)), 0x1234'5678U);
        }
    }
    struct Pair {
        std::uint64_t a;
        std::uint16_t b;
    };
    EXPECT_TRUE(memory.store(Gpa(3), Pair{.a = 1, .b = 2}));
    EXPECT_EQ(memory.load<Pair>(Gpa(3))->b, 2);
    EXPECT_FALSE(memory.load<std::uint64_t>(Gpa(kTop)));
    EXPECT_FALSE(memory.store(Gpa(kTop - 3), std::uint64_t{1}));
    EXPECT_TRUE(memory.load<std::uint8_t>(memory.last()));
    EXPECT_FALSE(memory.load<std::uint16_t>(memory.last()));
}

TEST(GuestMemory, BytesAreReadAndWrittenWithinOneBlock) {
    const GuestMemory memory(split_config());
    const std::array<std::byte, 4> out{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    std::array<std::byte, 4> in{};
    EXPECT_TRUE(memory.write(Gpa(18 * kPage - 4), out));
    EXPECT_TRUE(memory.read(Gpa(18 * kPage - 4), in));
    EXPECT_EQ(in, out);
    in = {};
    EXPECT_FALSE(memory.write(Gpa(18 * kPage - 3), out));
    EXPECT_FALSE(memory.read(Gpa(18 * kPage - 3), in));
    EXPECT_FALSE(memory.read(Gpa(3 * kPage - 2), in));
    EXPECT_EQ(in, (std::array<std::byte, 4>{})) << "nothing was copied";
    EXPECT_FALSE(memory.read(Gpa(kTop), in));
    EXPECT_FALSE(memory.read(Gpa(0), {}));
}

TEST(GuestMemory, AccessAllocatesNothing) {
    const GuestMemory memory(split_config());
    const test::AllocationCounter allocations;
    bool served = memory.store(Gpa(8), std::uint64_t{1}) && memory.load<std::uint64_t>(Gpa(8));
    served = served && memory.span(Gpa(0), kPage) && !memory.span(Gpa(kTop), 2);
    EXPECT_EQ(allocations.count(), 0U);
    EXPECT_TRUE(served);
}

TEST(GuestMemory, AbsurdSizesAreTheCallersFault) {
    for (const std::uint64_t size :
         {std::uint64_t{0}, kPage - 1, kPage + 1, kTop, kTop - kPage + 1, std::uint64_t{1} << 62}) {
        const io::Error error = error_of(plain_config(size, PageBacking::Anonymous));
        EXPECT_EQ(error.fault(), io::Fault::Input) << error.what();
    }
    EXPECT_TRUE(says(error_of(plain_config(0, PageBacking::Shared)), "size is 0"));
    EXPECT_TRUE(says(error_of(plain_config(kPage + 1, PageBacking::Shared)), "4 KiB"));
}

TEST(GuestMemory, MoreThanTheHostHasIsRefusedWithBothAmounts) {
    const std::uint64_t limit = *host::memory_limit();
    const std::uint64_t size = limit / kPage * kPage + kPage;
    for (const PageBacking backing :
         {PageBacking::Shared, PageBacking::Anonymous, PageBacking::Transparent}) {
        const io::Error error = error_of(plain_config(size, backing));
        EXPECT_EQ(error.fault(), io::Fault::Input);
        EXPECT_TRUE(says(error, host::format_size(size))) << error.what();
        EXPECT_TRUE(says(error, host::format_size(limit))) << error.what();
    }
}

TEST(GuestMemory, AHoleThatIsInsideOutOrNotPageAlignedIsRefused) {
    GuestMemoryConfig config = split_config();
    config.high_base = Gpa(kPage);
    EXPECT_EQ(error_of(config).fault(), io::Fault::Input);
    config = split_config();
    config.hole_base = Gpa(3 * kPage + 8);
    EXPECT_EQ(error_of(config).fault(), io::Fault::Input);
    config = split_config();
    config.hole_base = Gpa(0);
    EXPECT_EQ(error_of(config).fault(), io::Fault::Input);
    config = split_config();
    config.high_base = Gpa(kTop - kPage + 1);
    EXPECT_EQ(error_of(config).fault(), io::Fault::Input) << "two pages do not fit there";
}

TEST(GuestMemory, ANodeThatDoesNotExistIsNamedWithThoseThatDo) {
    GuestMemoryConfig config = split_config();
    config.numa_node = 1000;
    const io::Error error = error_of(config);
    EXPECT_EQ(error.fault(), io::Fault::Input);
    EXPECT_TRUE(says(error, "1000")) << error.what();
    for (const unsigned node : host::memory_nodes()) {
        EXPECT_TRUE(says(error, std::to_string(node))) << error.what();
    }
}

TEST(GuestMemory, IsBoundToANodeThatExists) {
    const std::vector<unsigned> nodes = host::memory_nodes();
    if (nodes.empty()) {
        GTEST_SKIP() << "this kernel has no NUMA nodes";
    }
    for (const PageBacking backing : {PageBacking::Shared, PageBacking::Anonymous}) {
        GuestMemoryConfig config = split_config(backing);
        config.numa_node = nodes.back();
        const GuestMemory memory(config);
        for (const GuestMemory::Block& block : memory.blocks()) {
            int mode = -1;
            std::array<unsigned long, 16> mask{};
            ASSERT_EQ(::syscall(SYS_get_mempolicy, &mode, mask.data(), mask.size() * 64,
                                block.host.data(), MPOL_F_ADDR),
                      0);
            EXPECT_EQ(mode, MPOL_BIND);
            EXPECT_EQ(mask[nodes.back() / 64], 1UL << (nodes.back() % 64));
        }
    }
}

TEST(GuestMemory, MissingHugePagesAreCountedAndTheRemedyIsNamed) {
    for (const std::uint64_t page : {2 * kMiB, kGiB}) {
        const auto pool = host::huge_page_pool(page, std::nullopt);
        const std::uint64_t overcommit =
            host::read_number(page == kGiB ? "/sys/kernel/mm/hugepages/hugepages-1048576kB/"
                                             "nr_overcommit_hugepages"
                                           : "/sys/kernel/mm/hugepages/hugepages-2048kB/"
                                             "nr_overcommit_hugepages")
                .value_or(0);
        if (!pool || overcommit != 0) {
            GTEST_SKIP() << "this host has no fixed pool of huge pages";
        }
        const std::uint64_t wanted = pool->free + 2;
        if (wanted * page > host::memory_totals()->ram) {
            GTEST_SKIP() << "the pool takes all of the RAM";
        }
        const io::Error error = error_of(
            plain_config(wanted * page, page == kGiB ? PageBacking::Huge1G : PageBacking::Huge2M));
        EXPECT_EQ(error.fault(), io::Fault::Host);
        EXPECT_TRUE(says(error, std::to_string(wanted) + " pages")) << error.what();
        EXPECT_TRUE(says(error, std::to_string(pool->free) + " are free")) << error.what();
        EXPECT_TRUE(says(error, pool->control)) << error.what();
    }
}

TEST(GuestMemory, HugePagesThatAreThereAreReservedAtOnce) {
    const auto before = host::huge_page_pool(2 * kMiB, std::nullopt);
    if (!before || before->free < 3) {
        GTEST_SKIP() << "fewer than 3 huge pages of 2 MiB are free";
    }
    GuestMemoryConfig config;
    config.size = 6 * kMiB;
    config.backing = PageBacking::Huge2M;
    config.hole_base = Gpa(4 * kMiB);
    config.high_base = Gpa(16 * kMiB);
    for (const bool bound : {false, true}) {
        if (bound) {
            config.numa_node = host::memory_nodes().front();
        }
        const GuestMemory memory(config);
        EXPECT_EQ(host::huge_page_pool(2 * kMiB, std::nullopt)->free, before->free - 3);
        EXPECT_TRUE(memory.store(memory.last(), std::byte{1}));
        EXPECT_TRUE(memory.store(Gpa(0), std::byte{1}));
        memory.prefault({});
    }
    EXPECT_EQ(host::huge_page_pool(2 * kMiB, std::nullopt)->free, before->free);
    // Those of a node are taken, which may take long: whoever builds the machine can end that.
    EXPECT_THROW(
        GuestMemory(config,
                    {.progress = [](std::uint64_t, std::uint64_t) { throw io::Error({}, "stop"); },
                     .progress_interval = std::chrono::milliseconds(0)}),
        io::Error);
    EXPECT_EQ(host::huge_page_pool(2 * kMiB, std::nullopt)->free, before->free);
    config.size = 5 * kMiB;
    EXPECT_TRUE(says(error_of(config), "2 MiB")) << "sizes are multiples of the huge page";
}

}  // namespace
}  // namespace cxlvm
