// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <vector>

#include "memory/guest_memory.hpp"
#include "tests/memory/fake_tree.hpp"

namespace cxlvm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSize = 16 * kPage;

/// Two blocks: pages 0 to 9, and pages 32 to 37.
GuestMemoryConfig two_blocks(PageBacking backing) {
    return {.size = kSize,
            .backing = backing,
            .numa_node = {},
            .hole_base = Gpa(10 * kPage),
            .high_base = Gpa(32 * kPage)};
}

class Discard : public ::testing::TestWithParam<PageBacking> {
  protected:
    Discard() {
        for (const GuestMemory::Block& block : memory_.blocks()) {
            std::ranges::fill(block.host, std::byte{0xab});
        }
    }
    [[nodiscard]] std::span<std::byte> pages(std::uint64_t first, std::uint64_t count) const {
        return memory_.span(Gpa(first * kPage), count * kPage).value();
    }
    [[nodiscard]] bool all(std::uint64_t page, std::byte value) const {
        return std::ranges::all_of(pages(page, 1), [=](std::byte byte) { return byte == value; });
    }
    /// Whether the host holds a page for it.
    [[nodiscard]] bool resident(std::uint64_t page) const {
        unsigned char state = 0;
        EXPECT_EQ(::mincore(pages(page, 1).data(), kPage, &state), 0);
        return (state & 1U) != 0;
    }

    GuestMemory memory_{two_blocks(GetParam())};
};

TEST_P(Discard, GivesPagesToTheHostAndZerosToTheGuest) {
    ASSERT_TRUE(memory_.can_discard());
    ASSERT_TRUE(resident(2));
    EXPECT_EQ(memory_.discard(pages(2, 3)), 3 * kPage);
    EXPECT_FALSE(resident(2));
    EXPECT_FALSE(resident(4));
    EXPECT_TRUE(all(1, std::byte{0xab}));
    EXPECT_TRUE(all(2, std::byte{0}));
    EXPECT_TRUE(all(4, std::byte{0}));
    EXPECT_TRUE(all(5, std::byte{0xab}));
    ASSERT_TRUE(memory_.store(Gpa(3 * kPage), std::uint8_t{7}));
    EXPECT_EQ(memory_.load<std::uint8_t>(Gpa(3 * kPage)), 7) << "it is RAM as before";
}

TEST_P(Discard, PartsOfPagesStay) {
    EXPECT_EQ(memory_.discard(pages(2, 3).subspan(1, 3 * kPage - 2)), kPage);
    EXPECT_TRUE(all(2, std::byte{0xab}));
    EXPECT_TRUE(all(3, std::byte{0}));
    EXPECT_TRUE(all(4, std::byte{0xab}));
    EXPECT_EQ(memory_.discard(pages(6, 1).subspan(1)), 0U);
    EXPECT_EQ(memory_.discard(pages(6, 1).first(0)), 0U);
    EXPECT_EQ(memory_.discard({}), 0U);
    EXPECT_TRUE(all(6, std::byte{0xab}));
}

TEST_P(Discard, TheLastPageOfEachBlockGoesAndNothingBehindIt) {
    EXPECT_EQ(memory_.discard(pages(9, 1)), kPage);
    EXPECT_EQ(memory_.discard(pages(37, 1)), kPage);
    EXPECT_TRUE(all(9, std::byte{0}));
    EXPECT_TRUE(all(37, std::byte{0}));
    EXPECT_TRUE(all(36, std::byte{0xab}));
}

TEST_P(Discard, MemoryOfTheHostIsLeftAlone) {
    std::vector<std::byte> other(4 * kPage, std::byte{0xcd});
    EXPECT_EQ(memory_.discard(other), 0U);
    EXPECT_TRUE(std::ranges::all_of(other, [](std::byte byte) { return byte == std::byte{0xcd}; }));
    // A range around the memory touches what is the guest's in it.
    const std::span<std::byte> low = memory_.blocks()[0].host;
    const std::span<std::byte> high = memory_.blocks()[1].host;
    std::byte* const first = std::min(low.data(), high.data());
    const std::byte* const end = std::max(low.data() + low.size(), high.data() + high.size());
    EXPECT_EQ(memory_.discard({first, static_cast<std::size_t>(end - first)}), kSize);
    EXPECT_TRUE(all(0, std::byte{0}));
    EXPECT_TRUE(all(37, std::byte{0}));
}

// What replaced a page of a copy-on-write file would be the file's, which the guest may never have
// had there.
TEST_P(Discard, PagesOfAFileThatWasPutInKeepWhatTheGuestWrote) {
    const test::FakeTree tree;
    tree.add_file("/image", std::string(2 * kPage, 'a'));
    const io::Fd file = io::open_file(tree.root() + "/image", O_RDONLY);
    memory_.load_file(Gpa(6 * kPage), file, 0, kPage, "image");
    memory_.load_file(Gpa(2 * kPage), file, 0, 2 * kPage, "image");
    ASSERT_TRUE(memory_.store(Gpa(2 * kPage), 'b'));
    const std::uint64_t bytes = memory_.discard(pages(0, 9));
    for (const std::uint64_t page : {0U, 1U, 4U, 5U, 7U, 8U}) {
        EXPECT_TRUE(all(page, std::byte{0})) << page;
    }
    if (GetParam() == PageBacking::Shared) {
        EXPECT_EQ(bytes, 9 * kPage) << "the file was read in";
        EXPECT_TRUE(all(2, std::byte{0}));
    } else {
        EXPECT_EQ(bytes, 6 * kPage);
        EXPECT_EQ(memory_.load<char>(Gpa(2 * kPage)), 'b');
        EXPECT_EQ(memory_.load<char>(Gpa(2 * kPage + 1)), 'a');
        EXPECT_TRUE(all(3, std::byte{'a'}));
        EXPECT_TRUE(all(6, std::byte{'a'}));
    }
    EXPECT_TRUE(all(9, std::byte{0xab}));
}

INSTANTIATE_TEST_SUITE_P(GuestMemory, Discard,
                         ::testing::Values(PageBacking::Shared, PageBacking::Anonymous,
                                           PageBacking::Transparent));

}  // namespace
}  // namespace cxlvm
